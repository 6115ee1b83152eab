//! The command `tributary`.

use std::process::ExitCode;

fn main() -> ExitCode {
    tributary_cli::main("tributary")
}
