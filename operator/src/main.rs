//! `tributary-operator`: see `--help`.

use std::{
    io::{IsTerminal, Write},
    process::ExitCode,
};

use clap::Parser;
use tracing_subscriber::EnvFilter;
use tributary_operator::{
    args::{Cli, Command, Manifests, Run},
    manifests, run,
};

/// Decisions are made of many small strings: three tenths of the operator's time were glibc's allocator.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Read by the allocator before `main`, as its TUNING.md has it: what is freed goes back to the kernel from a second on, as more is
/// allocated, and there are as many arenas as help a few workers, on however many cores.
#[allow(unsafe_code)]
#[unsafe(export_name = "_rjem_malloc_conf")]
pub static MALLOC_CONF: &[u8; 30] = b"narenas:4,dirty_decay_ms:1000\0";

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.command {
        None => operate(cli.run),
        Some(Command::Run(args)) => operate(args),
        Some(Command::Manifests(args)) => print(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn print(args: &Manifests) -> Result<(), Box<dyn std::error::Error>> {
    Ok(std::io::stdout().write_all(manifests::yaml(args)?.as_bytes())?)
}

fn operate(args: Run) -> Result<(), Box<dyn std::error::Error>> {
    let filter = EnvFilter::try_new(&args.log).map_err(|e| format!("--log {}: {e}", args.log))?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    if args.log_json {
        log.json().init()
    } else {
        log.init()
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    Ok(runtime.block_on(run::run(args))?)
}
