//! The segment files of a directory to which a writer adds.

#[cfg(test)]
mod tests;

use std::fs;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::directory::{SEGMENT_SUFFIX, segment_name, segment_number};

/// A file that is named as a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SegmentFile {
    pub(crate) name: String,
    pub(crate) path: PathBuf,
}

/// The segment files in order of name, with none left out that lies between two of them.
///
/// The system gives a long directory in several parts, in an order of its own, and what is created
/// in between may be missing (POSIX, `readdir`): a segment then, whose successor is there. So what
/// is absent between two numbers, up to [`MOST_PASSED_OVER`], is asked for by name.
///
/// # Errors
///
/// What the system says of the directory or of a file in it.
pub(crate) fn segment_files(dir: &Path) -> io::Result<Vec<SegmentFile>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.ends_with(SEGMENT_SUFFIX) {
            let path = entry.path();
            files.push(SegmentFile { name, path });
        }
    }
    add_passed_over(dir, &mut files)?;
    files.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(files)
}

fn add_passed_over(dir: &Path, files: &mut Vec<SegmentFile>) -> io::Result<()> {
    let mut numbers: Vec<u64> = files
        .iter()
        .filter_map(|it| segment_number(&it.name))
        .collect();
    numbers.sort_unstable();
    for number in gaps(&numbers).flatten() {
        let name = segment_name(number);
        let path = dir.join(&name);
        if path.try_exists()? {
            files.push(SegmentFile { name, path });
        }
    }
    Ok(())
}

/// The numbers between those there are; not where more are absent than begin during one list.
fn gaps(numbers: &[u64]) -> impl Iterator<Item = Range<u64>> {
    numbers
        .windows(2)
        .map(|pair| pair[0].saturating_add(1)..pair[1])
        .filter(|gap| gap.end.saturating_sub(gap.start) <= MOST_PASSED_OVER)
}

const MOST_PASSED_OVER: u64 = 1024;
