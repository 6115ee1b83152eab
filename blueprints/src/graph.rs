//! The graph of components: who waits for whom, in which order, and where they wait for each other.
//!
//! Everything here is linear in nodes and edges, and works without recursion, since users choose how deep a graph is.

use std::collections::BTreeMap;

/// What an edge waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Wait {
    /// The upstream component has begun: a stream reads a topic while a batch component fills it, and what does nothing has
    /// only to be there.
    Started,
    /// The upstream component is a stream and serves.
    Ready,
    /// The upstream component ended well.
    Succeeded,
    /// The upstream component serves or ended well, whichever its kind does.
    Either,
    /// The upstream component ended, well or not.
    Ended,
}

/// An edge, from the component that is waited for to the one that waits.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Edge {
    /// Index of the component that is waited for.
    pub from: usize,
    /// Index of the component that waits.
    pub to: usize,
    /// What is waited for.
    pub wait: Wait,
    /// What makes the edge: `topic clicks`, `dataset counts`, `after`, an expression.
    pub via: String,
}

/// Components and edges. Nodes are indices into the list of components.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Graph {
    /// Number of nodes.
    pub nodes: usize,
    /// Edges, at most one for each pair of components.
    pub edges: Vec<Edge>,
}

impl Graph {
    /// A graph of so many nodes; of several edges between two nodes the one that waits longest is kept.
    pub fn new(nodes: usize, edges: impl IntoIterator<Item = Edge>) -> Self {
        let mut kept: BTreeMap<(usize, usize), Edge> = BTreeMap::new();
        for edge in edges {
            let key = (edge.from, edge.to);
            match kept.get(&key) {
                Some(other) if other.wait >= edge.wait => {}
                _ => {
                    kept.insert(key, edge);
                }
            }
        }
        Self { nodes, edges: kept.into_values().collect() }
    }

    fn adjacency(&self) -> Vec<Vec<usize>> {
        let mut next = vec![Vec::new(); self.nodes];
        for edge in &self.edges {
            next[edge.from].push(edge.to);
        }
        next
    }

    /// Every node after those it waits for, nodes of equal rank in their own order; of a graph with cycles only what
    /// lies before them.
    pub fn order(&self) -> Vec<usize> {
        let next = self.adjacency();
        let mut missing = vec![0_usize; self.nodes];
        for edge in &self.edges {
            missing[edge.to] += 1;
        }
        let mut ready: std::collections::BTreeSet<usize> = (0..self.nodes).filter(|n| missing[*n] == 0).collect();
        let mut order = Vec::with_capacity(self.nodes);
        while let Some(node) = ready.pop_first() {
            order.push(node);
            for &to in &next[node] {
                missing[to] -= 1;
                if missing[to] == 0 {
                    ready.insert(to);
                }
            }
        }
        order
    }

    /// The wave of each node: 0 for one that waits for nothing, else one more than the last it waits for. Nodes of a
    /// cycle, and behind one, are in wave 0.
    pub fn waves(&self) -> Vec<u32> {
        let next = self.adjacency();
        let mut waves = vec![0; self.nodes];
        for node in self.order() {
            for &to in &next[node] {
                waves[to] = waves[to].max(waves[node] + 1);
            }
        }
        waves
    }

    /// One cycle of each set of nodes that wait for each other, as the nodes along it.
    pub fn cycles(&self) -> Vec<Vec<usize>> {
        let next = self.adjacency();
        self.components()
            .into_iter()
            .filter(|set| set.len() > 1 || next[set[0]].contains(&set[0]))
            .map(|set| one_cycle(&set, &next))
            .collect()
    }

    /// Strongly connected components, by Tarjan's algorithm with a stack of its own.
    fn components(&self) -> Vec<Vec<usize>> {
        const UNSEEN: usize = usize::MAX;
        let next = self.adjacency();
        let (mut index, mut low) = (vec![UNSEEN; self.nodes], vec![0; self.nodes]);
        let mut on_stack = vec![false; self.nodes];
        let (mut stack, mut found, mut counter) = (Vec::new(), Vec::new(), 0);
        for root in 0..self.nodes {
            if index[root] != UNSEEN {
                continue;
            }
            let mut work = vec![(root, 0)];
            while let Some((node, edge)) = work.pop() {
                if edge == 0 {
                    index[node] = counter;
                    low[node] = counter;
                    counter += 1;
                    stack.push(node);
                    on_stack[node] = true;
                }
                if let Some(&to) = next[node].get(edge) {
                    work.push((node, edge + 1));
                    if index[to] == UNSEEN {
                        work.push((to, 0));
                    } else if on_stack[to] {
                        low[node] = low[node].min(index[to]);
                    }
                    continue;
                }
                if let Some(&(parent, _)) = work.last() {
                    low[parent] = low[parent].min(low[node]);
                }
                if low[node] == index[node] {
                    let at = stack.iter().rposition(|n| *n == node).unwrap_or(0);
                    let mut set = stack.split_off(at);
                    set.iter().for_each(|n| on_stack[*n] = false);
                    set.sort_unstable();
                    found.push(set);
                }
            }
        }
        found.sort();
        found
    }
}

/// A shortest way from the first node of a strongly connected set back to itself.
fn one_cycle(set: &[usize], next: &[Vec<usize>]) -> Vec<usize> {
    let start = set[0];
    let mut before: BTreeMap<usize, usize> = BTreeMap::new();
    let mut queue = std::collections::VecDeque::from([start]);
    while let Some(node) = queue.pop_front() {
        for &to in &next[node] {
            if to == start {
                let mut way = vec![node];
                while let Some(&previous) = way.last().and_then(|n| before.get(n)) {
                    way.push(previous);
                }
                way.reverse();
                return way;
            }
            if set.binary_search(&to).is_ok() && !before.contains_key(&to) {
                before.insert(to, node);
                queue.push_back(to);
            }
        }
    }
    set.to_vec()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn graph(nodes: usize, pairs: &[(usize, usize)]) -> Graph {
        let edge = |&(from, to): &(usize, usize)| Edge { from, to, wait: Wait::Succeeded, via: String::new() };
        Graph::new(nodes, pairs.iter().map(edge))
    }

    #[test]
    fn an_order_keeps_the_text_where_it_may() {
        assert_eq!(graph(4, &[(2, 0), (0, 1)]).order(), [2, 0, 1, 3]);
        assert_eq!(graph(4, &[(2, 0), (0, 1)]).waves(), [1, 2, 0, 0]);
    }

    #[test]
    fn each_knot_is_one_cycle() {
        let g = graph(7, &[(0, 1), (1, 2), (2, 1), (3, 3), (4, 5), (5, 6), (6, 4), (5, 4)]);
        assert_eq!(g.cycles(), [vec![1, 2], vec![3], vec![4, 5]]);
        assert_eq!(g.order(), [0]);
    }

    #[test]
    fn layered_diamonds_and_long_chains_are_linear() {
        let layers = 30_000;
        let mut pairs = Vec::new();
        for layer in 0..layers {
            let at = 3 * layer;
            pairs.extend([(at, at + 1), (at, at + 2), (at + 1, at + 3), (at + 2, at + 3)]);
        }
        let mut g = graph(3 * layers + 1, &pairs);
        assert_eq!(g.order().len(), g.nodes);
        assert!(g.cycles().is_empty());
        assert_eq!(g.waves()[g.nodes - 1], 2 * layers as u32);
        g.edges.push(Edge { from: 3 * layers, to: 0, wait: Wait::Ready, via: String::new() });
        assert_eq!(g.cycles().len(), 1);
    }

    proptest! {
        #[test]
        fn an_order_respects_every_edge_or_there_is_a_cycle(
            pairs in proptest::collection::vec((0_usize..12, 0_usize..12), 0..30)
        ) {
            let g = graph(12, &pairs);
            let order = g.order();
            let cycles = g.cycles();
            prop_assert_eq!(order.len() == 12, cycles.is_empty());
            let rank = |n: usize| order.iter().position(|m| *m == n);
            for edge in &g.edges {
                if let Some(to) = rank(edge.to) {
                    prop_assert!(rank(edge.from).unwrap() < to);
                }
            }
            for cycle in cycles {
                for (i, from) in cycle.iter().enumerate() {
                    let to = cycle[(i + 1) % cycle.len()];
                    prop_assert!(g.edges.iter().any(|e| e.from == *from && e.to == to));
                }
            }
        }
    }
}
