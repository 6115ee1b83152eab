//! Directories that stand for S3.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tributary_crds::S3Location;
use tributary_mapreduce::store::{DirStore, Place, Result, StoreError, StoreResolver, Use};

/// A dataset's directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatasetDir {
    /// The dataset.
    pub name: String,
    /// Endpoint of its store.
    pub endpoint: Option<String>,
    /// `bucket/prefix`, no `/` at either end.
    pub location: String,
    /// The directory.
    pub dir: PathBuf,
    /// A component of this run writes it.
    pub written: bool,
}

/// A store's directory, for locations that are no dataset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreRoot {
    /// Endpoint of the store.
    pub endpoint: Option<String>,
    /// The directory that holds its buckets.
    pub dir: PathBuf,
}

/// Where everything is.
#[derive(Clone, Debug, Default)]
pub struct Directories {
    /// Of each dataset.
    pub datasets: Vec<DatasetDir>,
    /// Of each store that was given one.
    pub roots: Vec<StoreRoot>,
    /// What a location that is no dataset is read from.
    pub input: PathBuf,
    /// What a location that is no dataset is written to; it holds the engine's workspace too.
    pub out: PathBuf,
    /// Directories that this run has made, each after the one it is in.
    pub made: Arc<Mutex<Vec<PathBuf>>>,
}

/// Name of the engine's workspace below the output's directory.
const WORKSPACE: &str = ".workspace";

impl Directories {
    /// The directory of a location of a job.
    pub fn of(&self, location: &S3Location, used_as: Use) -> PathBuf {
        if used_as == Use::Workspace {
            return self.out.join(WORKSPACE);
        }
        let place = in_bucket(&location.uri);
        let endpoint = &location.connection.endpoint;
        if let Some(dataset) = self.datasets.iter().find(|d| d.endpoint == *endpoint && d.location == place) {
            return dataset.dir.clone();
        }
        let root = self.roots.iter().find(|r| r.endpoint == *endpoint).map(|r| &r.dir);
        root.unwrap_or(if used_as == Use::Input { &self.input } else { &self.out }).join(place)
    }

    /// Makes a directory and those it is in.
    fn make(&self, dir: &Path) -> io::Result<()> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let missing: Vec<_> = dir.ancestors().take_while(|d| !d.as_os_str().is_empty() && !d.exists()).collect();
        for dir in missing.into_iter().rev() {
            match fs::create_dir(dir) {
                Ok(()) => made.push(dir.to_owned()),
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    /// Takes the directories away that this run has made and that nothing is in.
    pub fn tidy(&self) {
        let made = std::mem::take(&mut *self.made.lock().unwrap_or_else(PoisonError::into_inner));
        for dir in made.iter().rev() {
            // fails where something is in it, which is right
            let _ = fs::remove_dir(dir);
        }
    }
}

/// `s3://bucket/prefix/` as `bucket/prefix`.
pub fn in_bucket(uri: &str) -> &str {
    uri.strip_prefix("s3://").unwrap_or(uri).trim_matches('/')
}

impl StoreResolver for Directories {
    fn resolve(&self, location: &S3Location, used_as: Use) -> Result<Place> {
        let dir = self.of(location, used_as);
        let place = || format!("{} ({})", location.uri, dir.display());
        if used_as != Use::Input {
            self.make(&dir).map_err(|e| StoreError::Other { place: place(), message: e.to_string() })?;
        } else if !dir.is_dir() {
            return Err(StoreError::NoSuchBucket { place: place() });
        }
        Ok(Place::new(Arc::new(DirStore::new(dir)), ""))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use tributary_crds::S3Connection;

    use super::*;

    fn location(uri: &str, endpoint: Option<&str>) -> S3Location {
        let connection = S3Connection { endpoint: endpoint.map(Into::into), ..Default::default() };
        S3Location { uri: uri.into(), connection }
    }

    fn directories() -> Directories {
        let dataset = |name: &str, location: &str, dir: &str| DatasetDir {
            name: name.into(),
            endpoint: Some("http://a".into()),
            location: location.into(),
            dir: dir.into(),
            written: false,
        };
        Directories {
            datasets: vec![
                dataset("text", "texts/all", "/any/where"),
                dataset("counts", "results/c", "/out/results/c"),
            ],
            roots: vec![StoreRoot { endpoint: Some("http://b".into()), dir: "/b".into() }],
            input: "/in".into(),
            out: "/out".into(),
            made: Arc::default(),
        }
    }

    #[test]
    fn a_dataset_is_found_by_its_store_and_place() {
        let dirs = directories();
        let of = |uri: &str, endpoint, used_as| dirs.of(&location(uri, endpoint), used_as).display().to_string();
        assert_eq!(of("s3://texts/all", Some("http://a"), Use::Input), "/any/where");
        assert_eq!(of("s3://texts/all/", Some("http://a"), Use::Input), "/any/where");
        assert_eq!(of("s3://results/c", Some("http://a"), Use::Output), "/out/results/c");
        // the same bucket of another service is another place
        assert_eq!(of("s3://texts/all", Some("http://b"), Use::Input), "/b/texts/all");
        assert_eq!(of("s3://texts/all", None, Use::Input), "/in/texts/all");
        assert_eq!(of("s3://other/x", None, Use::Output), "/out/other/x");
        assert_eq!(of("s3://texts/all", Some("http://a"), Use::Workspace), "/out/.workspace");
    }

    #[test]
    fn a_missing_input_names_the_directory() {
        let error = directories().resolve(&location("s3://no/such", None), Use::Input).unwrap_err();
        assert_eq!(error.to_string(), "s3://no/such (/in/no/such): there is no such bucket");
    }

    #[test]
    fn directories_that_stay_empty_are_taken_away_again() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("a/b");
        let dirs = Directories { out: out.clone(), ..Directories::default() };
        dirs.resolve(&location("s3://results/full", None), Use::Output).unwrap();
        dirs.resolve(&location("s3://results/empty", None), Use::Output).unwrap();
        dirs.resolve(&location("s3://results/empty", None), Use::Workspace).unwrap();
        fs::write(out.join("results/full/part"), "x").unwrap();
        dirs.tidy();
        let left = |path: &str| out.join(path).exists();
        assert!(left("results/full/part") && !left("results/empty") && !left(WORKSPACE));
        fs::remove_file(out.join("results/full/part")).unwrap();

        let dirs = Directories { out: dir.path().join("c"), ..Directories::default() };
        dirs.resolve(&location("s3://results/empty", None), Use::Output).unwrap();
        dirs.tidy();
        assert!(!dir.path().join("c").exists(), "what this run has made");
        assert!(out.join("results/full").exists(), "what another run has made");
    }
}
