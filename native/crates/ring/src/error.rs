use std::io;
use std::path::{Path, PathBuf};

/// Why a ring could not be made, opened or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RingError {
    /// A field of the configuration is out of its range.
    #[error("ring {field} {value} is not allowed: {expected}")]
    Config {
        /// Name of the field.
        field: &'static str,
        /// Its value.
        value: u64,
        /// What would be accepted.
        expected: &'static str,
    },
    /// The payload is larger than a slot. Nothing was published.
    #[error("a payload of {length} bytes does not fit a ring slot of {capacity}")]
    TooLong {
        /// Bytes of the payload.
        length: usize,
        /// Bytes that a slot holds.
        capacity: usize,
    },
    /// An operation on the file failed.
    #[error("cannot {doing} {}", path.display())]
    Io {
        /// What was being done, as a verb.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The file is no ring, or of another layout version.
    #[error("{} is not a ring of this layout: {problem}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        problem: String,
    },
}

impl RingError {
    pub(crate) fn io(doing: &'static str, path: &Path, source: impl Into<io::Error>) -> Self {
        Self::Io {
            doing,
            path: path.to_owned(),
            source: source.into(),
        }
    }

    pub(crate) fn format(path: &Path, problem: impl Into<String>) -> Self {
        Self::Format {
            path: path.to_owned(),
            problem: problem.into(),
        }
    }
}
