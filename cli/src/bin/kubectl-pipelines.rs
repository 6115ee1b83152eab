//! The command `kubectl pipelines`: `tributary` by the name that kubectl looks for.

fn main() {}
