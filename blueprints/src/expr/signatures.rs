//! The types of the functions that expressions have.

use super::types::Type;

/// The type of a call's value; `None` where no value of these types has one. `args` begins with the value that a method
/// is called on.
pub(super) fn result(name: &str, method: bool, args: &[Type]) -> Option<Type> {
    let is = |at: usize, wanted: &Type| args.get(at).is_none_or(|t| t == wanted || *t == Type::Dyn);
    let strings = |n: usize| (0..n).all(|i| is(i, &Type::String));
    let found = |fits: bool, type_: Type| fits.then_some(type_);
    match (name, method) {
        ("size", _) => found(matches!(args, [Type::Dyn | Type::String | Type::List(_) | Type::Object(_)]), Type::Int),
        ("string", false) => Some(Type::String),
        ("dyn", false) => Some(Type::Dyn),
        ("int", false) => found(matches!(args, [Type::Dyn | Type::String | Type::Int | Type::Double]), Type::Int),
        ("double", false) => found(matches!(args, [Type::Dyn | Type::String | Type::Int | Type::Double]), Type::Double),
        ("bool", false) => found(matches!(args, [Type::Dyn | Type::String | Type::Bool]), Type::Bool),
        ("min" | "max", false) => extreme(args),
        ("contains" | "startsWith" | "endsWith" | "matches", true) => found(strings(2), Type::Bool),
        ("lowerAscii" | "upperAscii" | "trim", true) => found(strings(1), Type::String),
        ("replace", true) => found(strings(3), Type::String),
        ("split", true) => found(strings(2), Type::list(Type::String)),
        ("join", true) => {
            let list = match args.first() {
                Some(Type::List(of)) => matches!(**of, Type::String | Type::Dyn),
                Some(Type::Dyn) => true,
                _ => false,
            };
            found(list && is(1, &Type::String), Type::String)
        }
        ("substring", true) => found(strings(1) && is(1, &Type::Int) && is(2, &Type::Int), Type::String),
        ("indexOf", true) => found(strings(2), Type::Int),
        _ => Some(Type::Dyn),
    }
}

/// The least or greatest of a list, or of the arguments.
fn extreme(args: &[Type]) -> Option<Type> {
    let scalar = |t: &Type| matches!(t, Type::Dyn | Type::Bool | Type::Int | Type::Double | Type::String);
    match args {
        [Type::List(of)] => scalar(of).then(|| Type::clone(of)),
        [first, rest @ ..] => {
            let orderly = args.iter().all(scalar) && rest.iter().all(|t| t.comparable(first));
            orderly.then(|| rest.iter().cloned().fold(first.clone(), Type::join))
        }
        [] => None,
    }
}
