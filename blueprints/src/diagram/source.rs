//! The picture in the languages of other tools.

use std::fmt::Write as _;

use tributary_crds::Health;

use super::{Diagram, Node, Shape};

impl Diagram {
    /// A Mermaid flowchart: components as boxes, topics as stadiums, datasets as cylinders; dotted where one only waits.
    pub fn mermaid(&self) -> String {
        let mut text = String::from("flowchart LR\n");
        for (i, node) in self.nodes.iter().enumerate() {
            let health = node.health.map_or_else(String::new, |h| format!("<br/>{h:?}"));
            // writing to a string does not fail
            let _ = match node.shape {
                Shape::Component | Shape::Finally => {
                    writeln!(text, "  n{i}[\"{}<br/>{}{health}\"]", node.name, node.kind)
                }
                Shape::Topic => writeln!(text, "  n{i}([\"{}{health}\"])", node.name),
                Shape::Dataset => writeln!(text, "  n{i}[(\"{}\")]", node.name),
            };
        }
        for arrow in &self.arrows {
            let line = if arrow.waits { "-.->" } else { "-->" };
            let _ = writeln!(text, "  n{} {line} n{}", arrow.from, arrow.to);
        }
        text
    }

    /// A graph for Graphviz.
    pub fn dot(&self) -> String {
        let quoted = |s: &str| format!("\"{}\"", s.replace('\\', "\\\\").replace('"', "\\\""));
        let mut text = format!(
            "digraph {} {{\n  rankdir=LR;\n  node [fontname=\"Helvetica\", fontsize=11, style=filled];\n",
            quoted(&self.title)
        );
        for (i, node) in self.nodes.iter().enumerate() {
            let shape = match node.shape {
                Shape::Component | Shape::Finally => "box",
                Shape::Topic => "cds",
                Shape::Dataset => "cylinder",
            };
            let label = quoted(&format!("{}\n{}", node.name, node.below())).replace('\n', "\\n");
            let fill = colours(node).fill;
            let _ = writeln!(text, "  n{i} [label={label}, shape={shape}, fillcolor=\"{fill}\"];");
        }
        for arrow in &self.arrows {
            let style = if arrow.waits { " [style=dashed]" } else { "" };
            let _ = writeln!(text, "  n{} -> n{}{style};", arrow.from, arrow.to);
        }
        text.push_str("}\n");
        text
    }
}

/// What a node is painted with.
pub(super) struct Colours {
    pub(super) fill: &'static str,
    pub(super) line: &'static str,
}

pub(super) fn colours(node: &Node) -> Colours {
    let of = |fill, line| Colours { fill, line };
    match (node.health, node.shape) {
        (Some(Health::Failed), _) => of("#fde2e1", "#c5221f"),
        (Some(Health::Ready | Health::Succeeded), _) => of("#dff3e4", "#1e7e34"),
        (Some(Health::Progressing), _) => of("#fff4d6", "#b06f00"),
        (Some(_), _) => of("#f1f3f4", "#80868b"),
        (None, Shape::Component) => of("#e8effc", "#3b5bab"),
        (None, Shape::Finally) => of("#eeeaf8", "#6a4fb0"),
        (None, Shape::Topic) => of("#fdeedd", "#b4651b"),
        (None, Shape::Dataset) => of("#e3f1ee", "#2b7a6b"),
    }
}
