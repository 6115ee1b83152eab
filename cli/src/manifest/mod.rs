//! Manifests: YAML files as the objects they describe, every fault with its file, line and column.

mod object;
pub mod path;
mod schema;
pub mod yaml;

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path as FilePath, PathBuf};

use serde::Serialize;
use tributary_blueprints::world::Served;
use tributary_crds::{Blueprint, Pipeline};

pub(crate) use object::faults;
use yaml::{Node, Place};

/// What files hold.
#[derive(Debug, Default)]
pub struct Manifests {
    /// Pipelines, in the order of the text.
    pub pipelines: Vec<Loaded<Pipeline>>,
    /// Blueprints, likewise.
    pub blueprints: Vec<Loaded<Blueprint>>,
    /// The kinds that CustomResourceDefinitions in the files define.
    pub definitions: Served,
    /// Objects that nothing is done with here, such as Secrets.
    pub others: Vec<Other>,
}

/// An object and the text that it stands in.
#[derive(Clone, Debug)]
pub struct Loaded<T> {
    /// The object.
    pub object: T,
    /// Its file, as it was named.
    pub file: PathBuf,
    /// Its text.
    pub node: Node,
}

/// An object of another kind.
#[derive(Clone, Debug)]
pub struct Other {
    /// Its file.
    pub file: PathBuf,
    /// `apiVersion`.
    pub api_version: String,
    /// Kind.
    pub kind: String,
    /// Name; empty where there is none.
    pub name: String,
}

/// Something that is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Complaint {
    /// The file, as it was named.
    pub file: PathBuf,
    /// Line, counted from 1.
    pub line: u64,
    /// Column, counted from 1.
    pub column: u64,
    /// The object, such as `Pipeline wordcount`; empty where the text is not understood that far.
    pub object: String,
    /// Where in the object; empty for the whole of it.
    pub path: String,
    /// Stable code.
    pub code: String,
    /// What is wrong and why.
    pub message: String,
    /// What may have been meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suggestion: Option<String>,
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: ", self.file.display(), self.line, self.column)?;
        if !self.object.is_empty() {
            write!(f, "{}: ", self.object)?;
        }
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)?;
        self.suggestion.as_ref().map_or(Ok(()), |s| write!(f, " (did you mean `{s}`?)"))
    }
}

impl<T> Loaded<T> {
    /// A complaint about the part of the object that `path` leads to.
    pub fn complaint(&self, object: &str, path: &str, code: &str, message: String) -> Complaint {
        complaint(&self.file, self.node.locate(path), object, path, code, message)
    }
}

fn complaint(file: &FilePath, place: Place, object: &str, path: &str, code: &str, message: String) -> Complaint {
    Complaint {
        file: file.to_owned(),
        line: place.line,
        column: place.column,
        object: object.into(),
        path: path.into(),
        code: code.into(),
        message,
        suggestion: None,
    }
}

/// Reads files, and of directories the `.yaml`, `.yml` and `.json` files right in them, as `kubectl apply -f` does.
/// What is right is there even where other parts are wrong.
pub fn load(paths: &[PathBuf]) -> (Manifests, Vec<Complaint>) {
    let (mut manifests, mut complaints) = (Manifests::default(), Vec::new());
    for path in paths {
        match files(path) {
            Ok(files) => files.iter().for_each(|file| read(file, &mut manifests, &mut complaints)),
            Err(reason) => complaints.push(unreadable(path, reason)),
        }
    }
    (manifests, complaints)
}

fn unreadable(file: &FilePath, reason: String) -> Complaint {
    complaint(file, Place::START, "", "", "Unreadable", reason)
}

fn files(path: &FilePath) -> Result<Vec<PathBuf>, String> {
    let in_words = |e: io::Error| match e.kind() {
        io::ErrorKind::NotFound => "no such file or directory".to_owned(),
        _ => e.to_string(),
    };
    if !fs::metadata(path).map_err(in_words)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path).map_err(in_words)? {
        let file = entry.map_err(in_words)?.path();
        let manifest = file.extension().is_some_and(|e| e == "yaml" || e == "yml" || e == "json");
        if manifest && file.is_file() {
            files.push(file.strip_prefix(".").unwrap_or(&file).to_owned());
        }
    }
    if files.is_empty() {
        return Err("there is no .yaml, .yml or .json file in this directory".into());
    }
    files.sort();
    Ok(files)
}

fn read(file: &FilePath, manifests: &mut Manifests, complaints: &mut Vec<Complaint>) {
    let text = match fs::read(file).map(String::from_utf8) {
        Ok(Ok(text)) => text,
        Ok(Err(e)) => {
            let line = e.as_bytes()[..e.utf8_error().valid_up_to()].iter().filter(|b| **b == b'\n').count() as u64 + 1;
            let place = Place { line, column: 1 };
            complaints.push(complaint(file, place, "", "", "Syntax", "is not UTF-8 text".into()));
            return;
        }
        Err(e) => return complaints.push(unreadable(file, e.to_string())),
    };
    match yaml::documents(&text) {
        Ok(nodes) => nodes.into_iter().for_each(|node| object::take(file, node, manifests, complaints)),
        Err(e) => complaints.push(complaint(file, e.place, "", "", "Syntax", e.message)),
    }
}
