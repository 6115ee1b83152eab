//! The command `kubectl pipelines`: `tributary` by the name that kubectl looks for.

use std::process::ExitCode;

fn main() -> ExitCode {
    tributary_cli::main("kubectl pipelines")
}
