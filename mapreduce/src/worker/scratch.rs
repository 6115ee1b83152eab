//! Space for what a map task spills: a file that has no name.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::{Mutex, OnceLock, PoisonError};

use tributary_mapreduce_core::kernel::{BoxError, Scratch};

/// A file in the directory for temporary files, made at the first spill.
#[derive(Default)]
pub(super) struct FileScratch {
    file: OnceLock<File>,
    length: Mutex<u64>,
}

impl FileScratch {
    fn file(&self) -> io::Result<&File> {
        if let Some(file) = self.file.get() {
            return Ok(file);
        }
        let file = tempfile::tempfile().map_err(|e| {
            let dir = std::env::temp_dir();
            io::Error::new(e.kind(), format!("no file for spilled data in {}: {e}", dir.display()))
        })?;
        Ok(self.file.get_or_init(|| file))
    }
}

impl Scratch for FileScratch {
    fn append(&self, bytes: &[u8]) -> Result<(), BoxError> {
        let mut length = self.length.lock().unwrap_or_else(PoisonError::into_inner);
        self.file()?.write_all_at(bytes, *length)?;
        *length += bytes.len() as u64;
        Ok(())
    }

    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), BoxError> {
        Ok(self.file()?.read_exact_at(buffer, offset)?)
    }
}
