//! The command `tributary`.

fn main() {}
