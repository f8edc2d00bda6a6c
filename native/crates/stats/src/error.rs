use std::io;
use std::path::{Path, PathBuf};

/// Why a stats file could not be created or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StatsError {
    /// A metric, label or identity text does not fit the format.
    #[error("{what} {value:?} is not allowed: {expected}")]
    Definition {
        /// What was defined: "metric name", "label", "worker id", …
        what: &'static str,
        /// The text that was refused.
        value: String,
        /// What would be accepted.
        expected: &'static str,
    },
    /// An operation on the file failed.
    #[error("cannot {doing} {}", path.display())]
    Io {
        /// What was being done, as a verb: "create", "map", …
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The file exists but its writer has not published it (or is no stats file at all).
    #[error("{} is not a published stats file", path.display())]
    NotReady {
        /// The file.
        path: PathBuf,
    },
    /// The layout is of another major version than this reader's.
    #[error("{} has layout version {major}, this reader understands {}", path.display(), crate::layout::MAJOR)]
    Version {
        /// The file.
        path: PathBuf,
        /// The version found.
        major: u16,
    },
    /// The file contradicts itself.
    #[error("{} is damaged: {problem}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        problem: String,
    },
}

impl StatsError {
    pub(crate) fn io(doing: &'static str, path: &Path, source: impl Into<io::Error>) -> Self {
        Self::Io {
            doing,
            path: path.to_owned(),
            source: source.into(),
        }
    }

    pub(crate) fn damaged(path: &Path, problem: impl Into<String>) -> Self {
        Self::Damaged {
            path: path.to_owned(),
            problem: problem.into(),
        }
    }
}
