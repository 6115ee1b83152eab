//! The spilled runs of a map task, in a file that goes with it.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::OnceLock;

use tributary_mapreduce_core::kernel::{BoxError, Scratch};

/// A file without a name in `dir`, made when the first run is spilled.
#[derive(Debug)]
pub(super) struct FileScratch {
    dir: PathBuf,
    file: OnceLock<File>,
}

impl FileScratch {
    pub(super) fn new(dir: PathBuf) -> Self {
        Self { dir, file: OnceLock::new() }
    }

    fn file(&self) -> Result<&File, BoxError> {
        if let Some(file) = self.file.get() {
            return Ok(file);
        }
        let made = tempfile::tempfile_in(&self.dir).map_err(|e| format!("no file in {}: {e}", self.dir.display()))?;
        Ok(self.file.get_or_init(|| made))
    }
}

impl Scratch for FileScratch {
    fn append(&self, bytes: &[u8]) -> Result<(), BoxError> {
        let mut file = self.file()?;
        Ok(file.write_all(bytes).map_err(|e| format!("{}: {e}", self.dir.display()))?)
    }

    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), BoxError> {
        Ok(self.file()?.read_exact_at(buffer, offset)?)
    }
}
