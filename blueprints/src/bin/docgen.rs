//! Writes the reference: `docgen DIR` or, to compare only, `docgen DIR --check`.

use std::{fs, io, path::Path, path::PathBuf, process::ExitCode};

use tributary_blueprints::reference;

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("usage: docgen DIR [--check]")]
    Usage,
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("these files are not what the types say; run `cargo xtask docs`: {}", .0.join(", "))]
    Drift(Vec<String>),
}

fn main() -> ExitCode {
    match run(&std::env::args().skip(1).collect::<Vec<_>>()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("error: {e}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &[String]) -> Result<(), Error> {
    let (dir, check) = match args {
        [dir] => (Path::new(dir), false),
        [dir, flag] if flag == "--check" => (Path::new(dir), true),
        _ => return Err(Error::Usage),
    };
    let mut drift = Vec::new();
    for (name, text) in reference::pages() {
        let path = dir.join(name);
        if !check {
            fs::create_dir_all(dir).map_err(|source| Error::Io { path: dir.into(), source })?;
            fs::write(&path, text).map_err(|source| Error::Io { path, source })?;
        } else if fs::read_to_string(&path).ok().as_deref() != Some(&text) {
            drift.push(path.display().to_string());
        }
    }
    if drift.is_empty() { Ok(()) } else { Err(Error::Drift(drift)) }
}
