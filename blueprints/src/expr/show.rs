//! Expressions as text, for messages about their parts.

use std::fmt;

use super::ast::{BinaryOp, Expr, Macro, UnaryOp};

impl BinaryOp {
    /// The operator as it is written.
    pub(crate) fn symbol(self) -> &'static str {
        match self {
            Self::Or => "||",
            Self::And => "&&",
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessEqual => "<=",
            Self::Greater => ">",
            Self::GreaterEqual => ">=",
            Self::In => "in",
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Remainder => "%",
        }
    }
}

impl Macro {
    fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Exists => "exists",
            Self::ExistsOne => "exists_one",
            Self::Map => "map",
            Self::Filter => "filter",
        }
    }
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Literal(value) => write!(f, "{value}"),
            Self::Name(name) => f.write_str(name),
            Self::Field { of, name, test: true } => write!(f, "has({}.{name})", Operand(of)),
            Self::Field { of, name, test: false } => write!(f, "{}.{name}", Operand(of)),
            Self::Index { of, index } => write!(f, "{}[{index}]", Operand(of)),
            Self::Call { name, target: Some(target), args } => {
                write!(f, "{}.{name}(", Operand(target))?;
                separated(f, args)?;
                f.write_str(")")
            }
            Self::Call { name, target: None, args } => {
                write!(f, "{name}(")?;
                separated(f, args)?;
                f.write_str(")")
            }
            Self::List(items) => {
                f.write_str("[")?;
                separated(f, items)?;
                f.write_str("]")
            }
            Self::Object(entries) => {
                f.write_str("{")?;
                for (i, (key, value)) in entries.iter().enumerate() {
                    let comma = if i == 0 { "" } else { ", " };
                    write!(f, "{comma}{key}: {value}")?;
                }
                f.write_str("}")
            }
            Self::Unary { op: UnaryOp::Not, of } => write!(f, "!{}", Operand(of)),
            Self::Unary { op: UnaryOp::Negate, of } => write!(f, "-{}", Operand(of)),
            Self::Binary { op, left, right } => {
                write!(f, "{} {} {}", Operand(left), op.symbol(), Operand(right))
            }
            Self::Conditional { condition, yes, no } => {
                write!(f, "{} ? {} : {}", Operand(condition), Operand(yes), Operand(no))
            }
            Self::Macro { kind, range, variable, filter, body } => {
                write!(f, "{}.{}({variable}, ", Operand(range), kind.name())?;
                if let Some(filter) = filter {
                    write!(f, "{filter}, ")?;
                }
                write!(f, "{body})")
            }
        }
    }
}

/// A part that another is made from: in brackets where they may matter.
struct Operand<'a>(&'a Expr);

impl fmt::Display for Operand<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Expr::Binary { .. } | Expr::Conditional { .. } | Expr::Unary { .. } => write!(f, "({})", self.0),
            Expr::Literal(value) if value.is_number() && value.to_string().starts_with('-') => write!(f, "({value})"),
            other => write!(f, "{other}"),
        }
    }
}

fn separated(f: &mut fmt::Formatter<'_>, items: &[Expr]) -> fmt::Result {
    for (i, item) in items.iter().enumerate() {
        let comma = if i == 0 { "" } else { ", " };
        write!(f, "{comma}{item}")?;
    }
    Ok(())
}
