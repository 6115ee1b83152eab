//! Where a Pipeline's datasets and topics are on this machine, from the command line and the defaults.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use tributary_blueprints::resolve::{Dataset, Resolved};
use tributary_crds::Format;

use super::known;
use crate::Failure;
use crate::args::RunArgs;
use crate::local::stores::{DatasetDir, Directories, StoreRoot, in_bucket};
use crate::local::topics::LogTopic;

/// The directories of the datasets. `base` is the directory of the Pipeline's file.
pub fn directories(resolved: &Resolved, args: &RunArgs, base: &Path, out: &Path) -> Result<Directories, Failure> {
    let names: Vec<_> = resolved.datasets.iter().map(|d| d.name.clone()).collect();
    known("--dataset", "dataset", firsts(&args.datasets), &names)?;
    let mut stores: Vec<_> = resolved.datasets.iter().map(|d| d.store.clone()).collect();
    stores.dedup();
    known("--store", "store", firsts(&args.stores), &stores)?;
    let mut datasets = Vec::new();
    for dataset in &resolved.datasets {
        let location = in_bucket(&dataset.uri);
        let given = value_of(&args.datasets, &dataset.name).map(PathBuf::from);
        let root = value_of(&args.stores, &dataset.store).map(PathBuf::from);
        let written = dataset.written && writes(resolved, &args.skip, &dataset.name);
        let root = root.unwrap_or_else(|| if written { out.into() } else { base.into() });
        let dir = given.unwrap_or_else(|| root.join(location));
        if written {
            writable(dataset, &dir)?;
        } else if dataset.read {
            readable(dataset, &dir)?;
        }
        datasets.push(DatasetDir {
            name: dataset.name.clone(),
            endpoint: dataset.connection.endpoint.clone(),
            location: location.into(),
            dir,
            written,
        });
    }
    let roots = resolved.datasets.iter().filter_map(|d| {
        let dir = value_of(&args.stores, &d.store)?.into();
        Some(StoreRoot { endpoint: d.connection.endpoint.clone(), dir })
    });
    Ok(Directories { roots: roots.collect(), datasets, input: base.into(), out: out.into(), ..Directories::default() })
}

/// A written dataset replaces an earlier result, never somebody's files.
fn writable(dataset: &Dataset, dir: &Path) -> Result<(), Failure> {
    let refused = |reason: &str| {
        Err(Failure::Dataset {
            name: dataset.name.clone(),
            dir: dir.into(),
            reason: reason.into(),
            store: dataset.store.clone(),
        })
    };
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return refused(&e.to_string()),
    };
    let mut names = entries.flatten().map(|e| e.file_name()).filter(|n| !n.to_string_lossy().starts_with('.'));
    if names.next().is_some() && !dir.join("_SUCCESS").exists() {
        return refused("a component writes it, but the directory is not empty and has no earlier result (_SUCCESS)");
    }
    Ok(())
}

/// Whether a component that is not left out writes a dataset.
fn writes(resolved: &Resolved, skipped: &[String], dataset: &str) -> bool {
    let there = resolved.components.iter().filter(|c| !skipped.contains(&c.base));
    there.flat_map(|c| c.writes.values()).any(|name| name == dataset)
}

/// A dataset that is only read must be there.
fn readable(dataset: &Dataset, dir: &Path) -> Result<(), Failure> {
    let reason = match fs::metadata(dir) {
        Ok(meta) if meta.is_dir() => return Ok(()),
        Ok(_) => "it is a file, and a dataset is a directory".to_owned(),
        Err(e) if e.kind() == io::ErrorKind::NotFound => "there is no such directory".to_owned(),
        Err(e) => e.to_string(),
    };
    Err(Failure::Dataset { name: dataset.name.clone(), dir: dir.into(), reason, store: dataset.store.clone() })
}

/// The topics, with what `--topic` puts into them.
pub fn topics(resolved: &Resolved, args: &RunArgs) -> Result<Vec<LogTopic>, Failure> {
    let names: Vec<_> = resolved.topics.iter().map(|t| t.name.clone()).collect();
    known("--topic", "topic", firsts(&args.topics), &names)?;
    if args.topics.iter().filter(|(_, file)| file == "-").count() > 1 {
        return Err(Failure::Usage("only one --topic can be the standard input".into()));
    }
    let mut topics = Vec::new();
    for topic in &resolved.topics {
        topics.push(LogTopic {
            name: topic.name.clone(),
            topic_name: topic.topic_name.clone(),
            bootstrap_servers: topic.connection.bootstrap_servers.clone(),
            partitions: topic.partitions.and_then(|n| u32::try_from(n).ok()).unwrap_or(1),
            existing: topic.existing,
            records: value_of(&args.topics, &topic.name).map_or(Ok(Vec::new()), |file| lines(&topic.name, file))?,
        });
    }
    Ok(topics)
}

fn lines(topic: &str, file: &str) -> Result<Vec<Bytes>, Failure> {
    let read = || {
        if file != "-" {
            return fs::read(file);
        }
        let mut text = Vec::new();
        io::stdin().lock().read_to_end(&mut text)?;
        Ok(text)
    };
    let text = Bytes::from(read().map_err(|e| Failure::Topic {
        name: topic.into(),
        file: file.into(),
        reason: e.to_string(),
    })?);
    let mut lines = Vec::new();
    let mut start = 0;
    while start < text.len() {
        let end = text[start..].iter().position(|b| *b == b'\n').map_or(text.len(), |i| start + i);
        lines.push(text.slice(start..end));
        start = end + 1;
    }
    Ok(lines)
}

fn firsts(pairs: &[(String, String)]) -> impl Iterator<Item = &str> {
    pairs.iter().map(|(name, _)| name.as_str())
}

fn value_of<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    pairs.iter().rev().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
}

/// Whether a dataset's rows can be shown as lines.
pub fn is_text(format: Format) -> bool {
    matches!(format, Format::Lines | Format::JsonLines)
}
