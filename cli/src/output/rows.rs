//! The first rows of a result.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// The longest row that is looked at, in bytes.
const MAX_ROW: u64 = 64 * 1024;

/// The output's files, in the order of their names; `_SUCCESS` and the like are left out.
pub fn files(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let hidden = entry.file_name().to_string_lossy().starts_with(['_', '.']);
        if !hidden && entry.file_type()?.is_file() {
            files.push(entry.path());
        }
    }
    files.sort();
    Ok(files)
}

/// The first rows of the whole result, by key: each file is sorted, so that the first rows of each are enough.
pub fn first(dir: &Path, limit: usize) -> io::Result<Vec<Vec<u8>>> {
    let mut rows = Vec::new();
    for file in files(dir)? {
        let mut reader = BufReader::new(File::open(file)?);
        for _ in 0..limit {
            let mut row = Vec::new();
            if reader.by_ref().take(MAX_ROW).read_until(b'\n', &mut row)? == 0 {
                break;
            }
            let whole = row.pop_if(|last| *last == b'\n').is_some();
            rows.push(row);
            if !whole {
                break;
            }
        }
    }
    // by key, as the engine sorts: a key that begins another one comes first
    rows.sort_by(|a, b| key(a).cmp(key(b)));
    rows.truncate(limit);
    Ok(rows)
}

fn key(row: &[u8]) -> &[u8] {
    row.split(|b| *b == b'\t').next().unwrap_or(row)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_first_rows_of_all_files_are_merged() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("part-r-00000"), "b\t1\nd\t2\ne\t3\n").unwrap();
        fs::write(dir.path().join("part-r-00001"), "a\t4\na b\t1\nc\t5").unwrap();
        fs::write(dir.path().join("part-r-00002"), "").unwrap();
        fs::write(dir.path().join("_SUCCESS"), "{}").unwrap();
        assert_eq!(files(dir.path()).unwrap().len(), 3);
        let rows = first(dir.path(), 4).unwrap();
        assert_eq!(rows, [&b"a\t4"[..], b"a b\t1", b"b\t1", b"c\t5"]);
        assert_eq!(first(dir.path(), 0).unwrap().len(), 0);
        assert_eq!(first(dir.path(), 99).unwrap().len(), 6);
    }
}
