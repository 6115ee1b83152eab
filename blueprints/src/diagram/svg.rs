//! The picture as SVG, to be put into a document as it is.

use std::fmt::Write as _;

use super::layout::Layout;
use super::source::colours;
use super::{Diagram, Node, Shape};

/// Pixels between the tops of two nodes of one layer.
const PITCH: f64 = 72.0;
/// The height of a node.
const HEIGHT: f64 = 46.0;
/// Pixels between two layers.
const GAP: f64 = 72.0;
/// Pixels around the picture.
const MARGIN: f64 = 16.0;

impl Diagram {
    /// A whole SVG document: light background, no fonts or styles from elsewhere.
    pub fn svg(&self) -> String {
        let layout = Layout::of(self);
        let width_of = |node: &Node| {
            let name = node.name.chars().count() as f64 * 7.7;
            let below = node.below().chars().count() as f64 * 6.1;
            name.max(below) + if node.shape == Shape::Topic { 40.0 } else { 28.0 }
        };
        let widths: Vec<f64> = layout
            .layers
            .iter()
            .map(|l| {
                let nodes = l.iter().filter_map(|p| layout.points[*p].node);
                nodes.map(|n| width_of(&self.nodes[n])).fold(0.0, f64::max)
            })
            .collect();
        let mut left = vec![MARGIN];
        for width in &widths {
            let at = left.last().copied().unwrap_or(MARGIN);
            left.push(at + width + GAP);
        }
        let rows = layout.points.iter().map(|p| p.slot + 1).max().unwrap_or(0);
        let total = (left.last().copied().unwrap_or(MARGIN) - GAP + MARGIN).max(2.0 * MARGIN);
        let height = rows as f64 * PITCH - (PITCH - HEIGHT) + 2.0 * MARGIN;
        let middle = |point: usize| MARGIN + layout.points[point].slot as f64 * PITCH + HEIGHT / 2.0;
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{total:.0}\" height=\"{height:.0}\" \
             viewBox=\"0 0 {total:.0} {height:.0}\" font-family=\"Helvetica, Arial, sans-serif\" role=\"img\">\n\
             <title>{}</title>\n\
             <defs><marker id=\"to\" viewBox=\"0 0 8 8\" refX=\"7.5\" refY=\"4\" markerWidth=\"8\" markerHeight=\"8\" \
             orient=\"auto\"><path d=\"M0 0.8 L8 4 L0 7.2 z\" fill=\"#5f6368\"/></marker></defs>\n\
             <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n",
            escaped(&self.title)
        );
        for (way, arrow) in layout.ways.iter().zip(&self.arrows) {
            let start = layout.points[way[0]].layer;
            let own = |p: usize| layout.points[p].node.map_or(0.0, |n| width_of(&self.nodes[n]));
            let mut x = left[start] + (widths[start] + own(way[0])) / 2.0;
            let mut y = middle(way[0]);
            let mut path = format!("M{x:.1} {y:.1}");
            for &point in &way[1..] {
                let layer = layout.points[point].layer;
                let (to_y, is_node) = (middle(point), layout.points[point].node.is_some());
                let to_x = if is_node { left[layer] + (widths[layer] - own(point)) / 2.0 } else { left[layer] };
                let bend = (to_x - x) / 2.0;
                let _ = write!(path, " C{:.1} {y:.1} {:.1} {to_y:.1} {to_x:.1} {to_y:.1}", x + bend, to_x - bend);
                (x, y) = (to_x, to_y);
                if !is_node {
                    x = left[layer] + widths[layer];
                    let _ = write!(path, " H{x:.1}");
                }
            }
            let dash = if arrow.waits { " stroke-dasharray=\"5 4\"" } else { "" };
            let _ = writeln!(
                svg,
                "<path d=\"{path}\" fill=\"none\" stroke=\"#5f6368\" stroke-width=\"1.4\"{dash} marker-end=\"url(#to)\"/>"
            );
        }
        for point in &layout.points {
            let Some(node) = point.node.map(|n| &self.nodes[n]) else { continue };
            let width = width_of(node);
            let x = left[point.layer] + (widths[point.layer] - width) / 2.0;
            paint(&mut svg, node, x, MARGIN + point.slot as f64 * PITCH, width);
        }
        svg.push_str("</svg>\n");
        svg
    }
}

fn paint(svg: &mut String, node: &Node, x: f64, y: f64, width: f64) {
    let colours = colours(node);
    let stroke = format!("fill=\"{}\" stroke=\"{}\" stroke-width=\"1.4\"", colours.fill, colours.line);
    let centre = x + width / 2.0;
    // writing to a string does not fail
    let _ = match node.shape {
        Shape::Component | Shape::Finally => {
            let dash = if node.shape == Shape::Finally { " stroke-dasharray=\"2 3\"" } else { "" };
            writeln!(
                svg,
                "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{HEIGHT}\" rx=\"6\" {stroke}{dash}/>"
            )
        }
        Shape::Topic => {
            let round = HEIGHT / 2.0;
            writeln!(
                svg,
                "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{HEIGHT}\" rx=\"{round}\" {stroke}/>"
            )
        }
        Shape::Dataset => {
            let (rx, ry) = (width / 2.0, 6.0);
            let (top, bottom) = (y + ry, y + HEIGHT - ry);
            writeln!(
                svg,
                "<path d=\"M{x:.1} {top:.1} A{rx:.1} {ry} 0 0 1 {r:.1} {top:.1} V{bottom:.1} A{rx:.1} {ry} 0 0 1 {x:.1} \
                 {bottom:.1} Z\" {stroke}/>\n<path d=\"M{x:.1} {top:.1} A{rx:.1} {ry} 0 0 0 {r:.1} {top:.1}\" \
                 fill=\"none\" stroke=\"{}\" stroke-width=\"1.4\"/>",
                colours.line,
                r = x + width
            )
        }
    };
    let drop = if node.shape == Shape::Dataset { 5.0 } else { 0.0 };
    let _ = writeln!(
        svg,
        "<text x=\"{centre:.1}\" y=\"{:.1}\" text-anchor=\"middle\" font-size=\"13\" font-weight=\"600\" fill=\"#202124\">{}</text>",
        y + 20.0 + drop,
        escaped(&node.name)
    );
    let _ = writeln!(
        svg,
        "<text x=\"{centre:.1}\" y=\"{:.1}\" text-anchor=\"middle\" font-size=\"11\" fill=\"{}\">{}</text>",
        y + 35.0 + drop,
        colours.line,
        escaped(&node.below())
    );
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
