//! Writes the CustomResourceDefinitions: `crdgen DIR` or, to compare only, `crdgen DIR --check`.

use std::{fs, io, path::Path, path::PathBuf, process::ExitCode};

use tributary_crds::schema;

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("usage: crdgen DIR [--check]")]
    Usage,
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{name} cannot be written as YAML: {reason}")]
    Yaml { name: String, reason: String },
    #[error("these files are not what the types say; run `cargo xtask crds`: {}", .0.join(", "))]
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
    for crd in schema::all() {
        let name = format!("{}.yaml", crd.spec.names.plural);
        let yaml =
            serde_yaml::to_string(&crd).map_err(|e| Error::Yaml { name: name.clone(), reason: e.to_string() })?;
        let path = dir.join(&name);
        if !check {
            fs::create_dir_all(dir).map_err(|source| Error::Io { path: dir.into(), source })?;
            fs::write(&path, yaml).map_err(|source| Error::Io { path, source })?;
        } else if fs::read_to_string(&path).ok().as_deref() != Some(&yaml) {
            drift.push(path.display().to_string());
        }
    }
    if drift.is_empty() { Ok(()) } else { Err(Error::Drift(drift)) }
}
