//! The grammar of CEL, by precedence climbing. Bounded in length and depth, so that no text can exhaust the stack.

use serde_json::Value;

use super::ast::{BinaryOp, Expr, Macro, UnaryOp};
use super::lexer::{Token, tokens};
use super::{Error, Expression, number};

/// Words that CEL keeps for itself.
const RESERVED: [&str; 18] = [
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "in",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
];

pub(super) fn parse(source: &str) -> Result<Expr, Error> {
    if source.len() > Expression::MAX_LENGTH {
        return Err(Error::TooLong { length: source.len() });
    }
    let syntax = |reason| Error::Syntax { source_text: source.trim().into(), reason };
    let tokens = tokens(source).map_err(syntax)?;
    let mut parser = Parser { tokens, at: 0 };
    let outcome = parser.expression(0).and_then(|node| match parser.peek() {
        Token::End => Ok(node.expr),
        other => Err(Fault::Syntax(format!("{other} is not expected here (column {})", parser.column()))),
    });
    outcome.map_err(|fault| match fault {
        Fault::TooDeep => Error::TooDeep,
        Fault::Syntax(reason) => syntax(reason),
    })
}

enum Fault {
    TooDeep,
    Syntax(String),
}

/// A part with the depth of its tree.
struct Node {
    expr: Expr,
    depth: usize,
}

impl Node {
    fn leaf(expr: Expr) -> Self {
        Self { expr, depth: 1 }
    }

    /// A node above parts of this depth.
    fn above(expr: Expr, depth: usize) -> Result<Self, Fault> {
        if depth >= Expression::MAX_DEPTH { Err(Fault::TooDeep) } else { Ok(Self { expr, depth: depth + 1 }) }
    }
}

struct Parser {
    tokens: Vec<(Token, usize)>,
    at: usize,
}

impl Parser {
    fn peek(&self) -> &Token {
        self.tokens.get(self.at).map_or(&Token::End, |(token, _)| token)
    }

    fn column(&self) -> usize {
        self.tokens.get(self.at).map_or(0, |(_, column)| *column)
    }

    fn next(&mut self) -> Token {
        let token = self.peek().clone();
        self.at += 1;
        token
    }

    fn take(&mut self, symbol: &str) -> bool {
        let found = matches!(self.peek(), Token::Symbol(s) if *s == symbol);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, symbol: &str) -> Result<(), Fault> {
        if self.take(symbol) {
            return Ok(());
        }
        Err(Fault::Syntax(format!("`{symbol}` is expected instead of {} (column {})", self.peek(), self.column())))
    }

    /// `nested` counts the brackets and operators around.
    fn expression(&mut self, nested: usize) -> Result<Node, Fault> {
        if nested > Expression::MAX_DEPTH {
            return Err(Fault::TooDeep);
        }
        let condition = self.binary(0, nested)?;
        if !self.take("?") {
            return Ok(condition);
        }
        let yes = self.binary(0, nested + 1)?;
        self.expect(":")?;
        let no = self.expression(nested + 1)?;
        let depth = condition.depth.max(yes.depth).max(no.depth);
        let [condition, yes, no] = [condition, yes, no].map(|n| Box::new(n.expr));
        Node::above(Expr::Conditional { condition, yes, no }, depth)
    }

    fn binary(&mut self, at_least: u8, nested: usize) -> Result<Node, Fault> {
        let mut left = self.unary(nested)?;
        while let Some(op) = operator(self.peek()).filter(|op| op.precedence() > at_least) {
            self.at += 1;
            let right = self.binary(op.precedence(), nested + 1)?;
            let depth = left.depth.max(right.depth);
            let [l, r] = [left, right].map(|n| Box::new(n.expr));
            left = Node::above(Expr::Binary { op, left: l, right: r }, depth)?;
        }
        Ok(left)
    }

    fn unary(&mut self, nested: usize) -> Result<Node, Fault> {
        let mut ops = Vec::new();
        loop {
            if self.take("!") {
                ops.push(UnaryOp::Not);
            } else if self.take("-") {
                ops.push(UnaryOp::Negate);
            } else {
                break;
            }
        }
        let negated = ops.last() == Some(&UnaryOp::Negate);
        // CEL's grammar: signs of one kind stand before a value, but a number has its minus with it
        let signs = match self.peek() {
            Token::Int(_) | Token::IntMin | Token::Double(_) if negated => &ops[..ops.len() - 1],
            _ => &ops[..],
        };
        if signs.iter().any(|op| *op != signs[0]) {
            return Err(Fault::Syntax(format!("`!` and `-` together need parentheses (column {})", self.column())));
        }
        let mut node = match (negated, self.peek().clone()) {
            // a minus belongs to the number behind it, which may be the least there is
            (true, Token::Int(n)) => {
                ops.pop();
                self.at += 1;
                self.members(Node::leaf(Expr::Literal((-n).into())), nested)?
            }
            (true, Token::IntMin) => {
                ops.pop();
                self.at += 1;
                self.members(Node::leaf(Expr::Literal(i64::MIN.into())), nested)?
            }
            _ => {
                let primary = self.primary(nested)?;
                self.members(primary, nested)?
            }
        };
        while let Some(op) = ops.pop() {
            let depth = node.depth;
            node = Node::above(Expr::Unary { op, of: Box::new(node.expr) }, depth)?;
        }
        Ok(node)
    }

    fn members(&mut self, mut node: Node, nested: usize) -> Result<Node, Fault> {
        loop {
            if self.take("[") {
                let index = self.expression(nested + 1)?;
                self.expect("]")?;
                let depth = node.depth.max(index.depth);
                node = Node::above(Expr::Index { of: Box::new(node.expr), index: Box::new(index.expr) }, depth)?;
            } else if self.take(".") {
                let column = self.column();
                let name = match self.next() {
                    Token::Name(name) => name,
                    other => {
                        return Err(Fault::Syntax(format!("a name is expected instead of {other} (column {column})")));
                    }
                };
                node = if self.take("(") { self.method(node, name, nested)? } else { field(node, name)? };
            } else {
                return Ok(node);
            }
        }
    }

    fn method(&mut self, target: Node, name: String, nested: usize) -> Result<Node, Fault> {
        let column = self.column();
        let (args, depth) = self.arguments(")", nested)?;
        let depth = depth.max(target.depth);
        let of = Box::new(target.expr);
        let Some(kind) = Macro::of(&name, args.len()) else {
            return Node::above(Expr::Call { name, target: Some(of), args }, depth);
        };
        let mut args = args.into_iter();
        let (Some(variable), Some(second), third) = (args.next(), args.next(), args.next()) else {
            return Err(Fault::Syntax(format!("`{name}` takes a variable and an expression (column {column})")));
        };
        let Expr::Name(variable) = variable else {
            return Err(Fault::Syntax(format!("`{name}` takes a variable's name first (column {column})")));
        };
        let (filter, body) = match third {
            Some(body) => (Some(Box::new(second)), Box::new(body)),
            None => (None, Box::new(second)),
        };
        Node::above(Expr::Macro { kind, range: of, variable, filter, body }, depth)
    }

    /// Expressions separated by commas up to `end`, a last comma allowed; with the depth of the deepest.
    fn arguments(&mut self, end: &str, nested: usize) -> Result<(Vec<Expr>, usize), Fault> {
        let (mut all, mut depth) = (Vec::new(), 1);
        while !self.take(end) {
            let node = self.expression(nested + 1)?;
            depth = depth.max(node.depth);
            all.push(node.expr);
            if !self.take(",") {
                self.expect(end)?;
                break;
            }
        }
        Ok((all, depth))
    }

    fn primary(&mut self, nested: usize) -> Result<Node, Fault> {
        let column = self.column();
        let literal = |value: Value| Ok(Node::leaf(Expr::Literal(value)));
        match self.next() {
            Token::Int(n) => literal(n.into()),
            Token::Double(n) => literal(number::double(n).unwrap_or(Value::Null)),
            Token::Text(text) => literal(text.into()),
            Token::Name(name) => match name.as_str() {
                "true" => literal(true.into()),
                "false" => literal(false.into()),
                "null" => literal(Value::Null),
                word if RESERVED.contains(&word) => {
                    Err(Fault::Syntax(format!("`{word}` is a word of CEL itself (column {column})")))
                }
                _ if self.take("(") => self.function(name, nested),
                _ => Ok(Node::leaf(Expr::Name(name))),
            },
            Token::Symbol("(") => {
                let inner = self.expression(nested + 1)?;
                self.expect(")")?;
                Ok(inner)
            }
            Token::Symbol("[") => {
                let (items, depth) = self.arguments("]", nested)?;
                Node::above(Expr::List(items), depth)
            }
            Token::Symbol("{") => self.object(nested),
            other => Err(Fault::Syntax(format!("a value is expected instead of {other} (column {column})"))),
        }
    }

    fn function(&mut self, name: String, nested: usize) -> Result<Node, Fault> {
        let column = self.column();
        let (mut args, depth) = self.arguments(")", nested)?;
        if name != "has" {
            return Node::above(Expr::Call { name, target: None, args }, depth);
        }
        match (args.pop(), args.is_empty()) {
            (Some(Expr::Field { of, name, test: false }), true) => {
                Node::above(Expr::Field { of, name, test: true }, depth)
            }
            _ => Err(Fault::Syntax(format!("`has` takes a field, such as has(a.b) (column {column})"))),
        }
    }

    fn object(&mut self, nested: usize) -> Result<Node, Fault> {
        let (mut entries, mut depth) = (Vec::new(), 1);
        while !self.take("}") {
            let key = self.expression(nested + 1)?;
            self.expect(":")?;
            let value = self.expression(nested + 1)?;
            depth = depth.max(key.depth).max(value.depth);
            entries.push((key.expr, value.expr));
            if !self.take(",") {
                self.expect("}")?;
                break;
            }
        }
        Node::above(Expr::Object(entries), depth)
    }
}

fn field(node: Node, name: String) -> Result<Node, Fault> {
    let depth = node.depth;
    Node::above(Expr::Field { of: Box::new(node.expr), name, test: false }, depth)
}

fn operator(token: &Token) -> Option<BinaryOp> {
    Some(match token {
        Token::Name(word) if word == "in" => BinaryOp::In,
        Token::Symbol("||") => BinaryOp::Or,
        Token::Symbol("&&") => BinaryOp::And,
        Token::Symbol("==") => BinaryOp::Equal,
        Token::Symbol("!=") => BinaryOp::NotEqual,
        Token::Symbol("<") => BinaryOp::Less,
        Token::Symbol("<=") => BinaryOp::LessEqual,
        Token::Symbol(">") => BinaryOp::Greater,
        Token::Symbol(">=") => BinaryOp::GreaterEqual,
        Token::Symbol("+") => BinaryOp::Add,
        Token::Symbol("-") => BinaryOp::Subtract,
        Token::Symbol("*") => BinaryOp::Multiply,
        Token::Symbol("/") => BinaryOp::Divide,
        Token::Symbol("%") => BinaryOp::Remainder,
        _ => return None,
    })
}
