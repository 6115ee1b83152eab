//! Where the nodes of a picture are: layers from left to right, crossings kept few by barycentres, as Sugiyama, Tagawa
//! and Toda (1981) do it. Linear in what is drawn, but for a fixed number of sweeps.

use std::collections::{BTreeMap, BTreeSet};

use super::Diagram;

/// How often the order of the layers is gone through.
const SWEEPS: usize = 12;

/// A point of the layout: a node, or where a long arrow passes a layer.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Point {
    /// The node; `None` for a bend.
    pub(super) node: Option<usize>,
    /// Its layer, counted from the left.
    pub(super) layer: usize,
    /// Its place in the layer, counted from the top.
    pub(super) slot: usize,
}

/// The places of nodes and bends.
pub(super) struct Layout {
    pub(super) points: Vec<Point>,
    /// The way of each arrow, as points from its beginning to its end, a layer further each.
    pub(super) ways: Vec<Vec<usize>>,
    /// Points by layer, from the top.
    pub(super) layers: Vec<Vec<usize>>,
}

impl Layout {
    pub(super) fn of(diagram: &Diagram) -> Self {
        let layer = layers(diagram);
        let mut points: Vec<Point> =
            layer.iter().enumerate().map(|(i, l)| Point { node: Some(i), layer: *l, slot: 0 }).collect();
        let mut ways = Vec::new();
        for arrow in &diagram.arrows {
            let mut way = vec![arrow.from];
            for layer in layer[arrow.from] + 1..layer[arrow.to] {
                way.push(points.len());
                points.push(Point { node: None, layer, slot: 0 });
            }
            way.push(arrow.to);
            ways.push(way);
        }
        let depth = points.iter().map(|p| p.layer + 1).max().unwrap_or(0);
        let mut by_layer = vec![Vec::new(); depth];
        for (i, point) in points.iter().enumerate() {
            by_layer[point.layer].push(i);
        }
        let mut layout = Self { points, ways, layers: by_layer };
        layout.arrange();
        layout
    }

    /// Orders each layer by the mean place of its neighbours, and lets straight ways be straight.
    fn arrange(&mut self) {
        let (mut before, mut after) = (vec![Vec::new(); self.points.len()], vec![Vec::new(); self.points.len()]);
        for way in &self.ways {
            for pair in way.windows(2) {
                after[pair[0]].push(pair[1]);
                before[pair[1]].push(pair[0]);
            }
        }
        let mut place: Vec<f64> = vec![0.0; self.points.len()];
        for layer in &self.layers {
            layer.iter().enumerate().for_each(|(at, p)| place[*p] = at as f64);
        }
        for sweep in 0..SWEEPS {
            let forward = sweep % 2 == 0;
            let order: Vec<usize> =
                if forward { (0..self.layers.len()).collect() } else { (0..self.layers.len()).rev().collect() };
            for at in order {
                let neighbours = if forward { &before } else { &after };
                let layer = &mut self.layers[at];
                let wished: Vec<(f64, usize)> =
                    layer.iter().map(|p| (mean(&neighbours[*p], &place).unwrap_or(place[*p]), *p)).collect();
                spread(&wished, layer, &mut place);
            }
        }
        // rows that nothing stands in are left out
        #[allow(clippy::cast_possible_truncation)]
        let rows: Vec<i64> = place.iter().map(|p| p.round() as i64).collect();
        let used: BTreeSet<i64> = rows.iter().copied().collect();
        let rank: BTreeMap<i64, usize> = used.into_iter().enumerate().map(|(rank, row)| (row, rank)).collect();
        for (point, row) in self.points.iter_mut().zip(&rows) {
            point.slot = rank.get(row).copied().unwrap_or(0);
        }
    }
}

fn mean(neighbours: &[usize], place: &[f64]) -> Option<f64> {
    if neighbours.is_empty() {
        return None;
    }
    Some(neighbours.iter().map(|n| place[*n]).sum::<f64>() / neighbours.len() as f64)
}

/// Puts the points of a layer in the order of their wishes, whole places apart, as near to the wishes as that allows.
fn spread(wished: &[(f64, usize)], layer: &mut [usize], place: &mut [f64]) {
    let mut order = wished.to_vec();
    order.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut at = f64::NEG_INFINITY;
    let mut shift = 0.0;
    for (i, (wish, point)) in order.iter().enumerate() {
        at = (at + 1.0).max(wish.round());
        place[*point] = at;
        shift += at - wish;
        layer[i] = *point;
    }
    // pushed down only, they would drift: half of it is taken back
    let back = (shift / order.len().max(1) as f64 / 2.0).round();
    order.iter().for_each(|(_, point)| place[*point] -= back);
}

/// The layer of each node: one more than the last before it. Data that nothing writes stands right before its readers.
fn layers(diagram: &Diagram) -> Vec<usize> {
    let n = diagram.nodes.len();
    let (mut next, mut missing) = (vec![Vec::new(); n], vec![0_usize; n]);
    for arrow in &diagram.arrows {
        next[arrow.from].push(arrow.to);
        missing[arrow.to] += 1;
    }
    let sources: Vec<usize> = (0..n).filter(|i| missing[*i] == 0).collect();
    let (mut layer, mut queue) = (vec![0_usize; n], sources.clone());
    while let Some(node) = queue.pop() {
        for &to in &next[node] {
            layer[to] = layer[to].max(layer[node] + 1);
            missing[to] -= 1;
            if missing[to] == 0 {
                queue.push(to);
            }
        }
    }
    for source in sources {
        if let Some(first) = next[source].iter().map(|to| layer[*to]).min() {
            layer[source] = first.saturating_sub(1);
        }
    }
    layer
}
