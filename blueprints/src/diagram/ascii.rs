//! The picture in characters: boxes and lines, for a terminal.

use super::layout::Layout;
use super::{Diagram, Node, Shape};

/// Rows that a box takes, the empty one below it included.
const PITCH: usize = 5;
/// The row of a box that arrows go to.
const IN: usize = 1;
/// The row that arrows leave from: another one, so that no two of them run along one row.
const OUT: usize = 2;

const NORTH: u8 = 1;
const EAST: u8 = 2;
const SOUTH: u8 = 4;
const WEST: u8 = 8;

/// The line that goes in these directions.
const LINES: [char; 16] = [' ', '╵', '╶', '└', '╷', '│', '┌', '├', '╴', '┘', '─', '┴', '┐', '┤', '┬', '┼'];

struct Canvas {
    width: usize,
    lines: Vec<u8>,
    text: Vec<Option<char>>,
}

impl Canvas {
    fn new(width: usize, height: usize) -> Self {
        Self { width, lines: vec![0; width * height], text: vec![None; width * height] }
    }

    fn row(&mut self, y: usize, from: usize, to: usize) {
        for x in from.min(to)..from.max(to) {
            self.lines[y * self.width + x] |= EAST;
            self.lines[y * self.width + x + 1] |= WEST;
        }
    }

    fn column(&mut self, x: usize, from: usize, to: usize) {
        for y in from.min(to)..from.max(to) {
            self.lines[y * self.width + x] |= SOUTH;
            self.lines[(y + 1) * self.width + x] |= NORTH;
        }
    }

    fn write(&mut self, x: usize, y: usize, text: &str) {
        for (i, c) in text.chars().enumerate() {
            self.text[y * self.width + x + i] = Some(c);
        }
    }

    fn drawn(&self) -> String {
        let mut out = String::new();
        for (lines, text) in self.lines.chunks(self.width).zip(self.text.chunks(self.width)) {
            let row: String = lines.iter().zip(text).map(|(l, t)| t.unwrap_or(LINES[usize::from(*l)])).collect();
            out.push_str(row.trim_end());
            out.push('\n');
        }
        format!("{}\n", out.trim_end())
    }
}

/// The sides of a box: they say what it stands for.
fn sides(node: &Node) -> (&'static str, &'static str) {
    match node.shape {
        Shape::Component | Shape::Finally => ("│", "│"),
        Shape::Topic => ("(", ")"),
        Shape::Dataset => ("[", "]"),
    }
}

impl Diagram {
    /// The picture in characters. Components have straight sides, topics round ones, datasets square ones; an arrow ends
    /// with `>`, or with `»` where the one only waits for the other.
    pub fn ascii(&self) -> String {
        if self.nodes.is_empty() {
            return String::new();
        }
        let layout = Layout::of(self);
        let width_of = |node: &Node| node.name.chars().count().max(node.below().chars().count()) + 4;
        let widths: Vec<usize> = layout
            .layers
            .iter()
            .map(|l| {
                l.iter().filter_map(|p| layout.points[*p].node).map(|n| width_of(&self.nodes[n])).max().unwrap_or(1)
            })
            .collect();
        // between two layers, every point that arrows leave from has a column of its own
        let mut tracks = vec![None; layout.points.len()];
        let mut counts = vec![0_usize; layout.layers.len()];
        for way in &layout.ways {
            for pair in way.windows(2) {
                let layer = layout.points[pair[0]].layer;
                tracks[pair[0]].get_or_insert_with(|| {
                    counts[layer] += 1;
                    counts[layer]
                });
            }
        }
        let mut left = vec![0];
        for (width, count) in widths.iter().zip(&counts) {
            let at = left.last().copied().unwrap_or(0);
            left.push(at + width + 2 * count + 3);
        }
        let height = layout.points.iter().map(|p| (p.slot + 1) * PITCH).max().unwrap_or(0);
        let mut canvas = Canvas::new(left.last().copied().unwrap_or(0) + 1, height);
        let top = |point: usize| layout.points[point].slot * PITCH;
        for (way, arrow) in layout.ways.iter().zip(&self.arrows) {
            for pair in way.windows(2) {
                let (from, to) = (&layout.points[pair[0]], &layout.points[pair[1]]);
                let (start, end) = (left[from.layer] + widths[from.layer], left[to.layer]);
                let track = start + 2 * tracks[pair[0]].unwrap_or(1) - 1;
                let (out, into) = (top(pair[0]) + OUT, top(pair[1]) + IN);
                canvas.lines[out * canvas.width + start] |= WEST;
                canvas.row(out, start, track);
                canvas.column(track, out, into);
                canvas.row(into, track, end - usize::from(to.node.is_some()));
                match to.node {
                    Some(_) => canvas.write(end - 1, into, if arrow.waits { "»" } else { ">" }),
                    None => {
                        // the bend crosses its layer
                        canvas.column(end, into, top(pair[1]) + OUT);
                        canvas.row(top(pair[1]) + OUT, end, left[to.layer] + widths[to.layer]);
                    }
                }
            }
        }
        for point in layout.points.iter().filter(|p| p.node.is_some()) {
            let Some(node) = point.node.map(|n| &self.nodes[n]) else { continue };
            let (x, y, width) = (left[point.layer], point.slot * PITCH, widths[point.layer]);
            let (l, r) = sides(node);
            let line = |text: &str| format!("{l} {text:<w$} {r}", w = width - 4);
            let rule = |a: char, b: char| format!("{a}{}{b}", "─".repeat(width - 2));
            let (name, below) = (line(&node.name), line(&node.below()));
            let frame = if node.shape == Shape::Component || node.shape == Shape::Finally {
                [rule('┌', '┐'), name, below, rule('└', '┘')]
            } else {
                [rule('╭', '╮'), name, below, rule('╰', '╯')]
            };
            frame.iter().enumerate().for_each(|(i, text)| canvas.write(x, y + i, text));
        }
        canvas.drawn()
    }
}
