//! The types of the functions that expressions have.

use super::kinds::Kinds;
use super::types::Type;

/// The type of a call's value; `None` where no value of these types has one. `args` begins with the value that a method
/// is called on.
pub(super) fn result(name: &str, method: bool, args: &[Type]) -> Option<Type> {
    let is = |at: usize, wanted: Kinds| args.get(at).is_none_or(|t| t.may_be(wanted));
    let strings = |n: usize| (0..n).all(|i| is(i, Kinds::STRING));
    let found = |fits: bool, type_: Type| fits.then_some(type_);
    match (name, method) {
        ("size", _) => found(is(0, Kinds::STRING | Kinds::LIST | Kinds::OBJECT), Type::Int),
        ("string", false) => Some(Type::String),
        ("dyn", false) => Some(Type::Dyn),
        ("int", false) => found(is(0, Kinds::NUMBER | Kinds::STRING), Type::Int),
        ("double", false) => found(is(0, Kinds::NUMBER | Kinds::STRING), Type::Double),
        ("bool", false) => found(is(0, Kinds::BOOL | Kinds::STRING), Type::Bool),
        ("min" | "max", false) => extreme(args),
        ("contains" | "startsWith" | "endsWith" | "matches", true) => found(strings(2), Type::Bool),
        ("lowerAscii" | "upperAscii" | "trim", true) => found(strings(1), Type::String),
        ("replace", true) => found(strings(3), Type::String),
        ("split", true) => found(strings(2), Type::list(Type::String)),
        ("join", true) => {
            let list = match args.first() {
                Some(Type::List(of)) => of.may_be(Kinds::STRING),
                _ => is(0, Kinds::LIST),
            };
            found(list && is(1, Kinds::STRING), Type::String)
        }
        ("substring", true) => found(strings(1) && is(1, Kinds::INT) && is(2, Kinds::INT), Type::String),
        ("indexOf", true) => found(strings(2), Type::Int),
        _ => Some(Type::Dyn),
    }
}

/// The least or greatest of a list, or of the arguments: one of what has an order with all others.
fn extreme(args: &[Type]) -> Option<Type> {
    match args {
        [Type::List(of)] => of.among(Kinds::SCALAR),
        [one] if one.may_be(Kinds::LIST) => Some(Type::of_kinds(Kinds::SCALAR)),
        _ => {
            let ordered = args.iter().fold(Kinds::SCALAR, |common, t| common & t.kinds().numbers_alike());
            args.iter().filter_map(|t| t.among(ordered)).reduce(Type::join).filter(|_| !ordered.is_empty())
        }
    }
}
