//! The position file: where the copy stands. Written beside itself, synced, renamed, synced.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tickdeck_export::subscriber::Position;

use crate::exit::{Code, Failure};

/// Where the position is kept.
#[derive(Debug)]
pub(super) struct PositionFile {
    path: PathBuf,
}

/// The file's content, JSON.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Content {
    /// 32 hexadecimal digits.
    log_id: String,
    epoch: u64,
    acked_seq: u64,
}

impl PositionFile {
    pub(super) fn at(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
        }
    }

    /// The position; none when there is no file yet. A file that cannot be read is never taken for
    /// none: that would begin anew beside an old copy.
    pub(super) fn load(&self) -> Result<Option<Position>, Failure> {
        let text = match fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.failure(Code::Failed, &error)),
        };
        let content: Content =
            serde_json::from_str(&text).map_err(|error| self.failure(Code::Layout, &error))?;
        let bad = || self.failure(Code::Layout, &"log_id is not 32 hexadecimal digits");
        let log_id = u128::from_str_radix(&content.log_id, 16)
            .ok()
            .filter(|_| content.log_id.len() == 32)
            .ok_or_else(bad)?;
        Ok(Some(Position {
            log_id: log_id.to_be_bytes(),
            epoch: content.epoch,
            acked_seq: content.acked_seq,
        }))
    }

    /// Makes the position durable.
    pub(super) fn store(&self, position: &Position) -> Result<(), Failure> {
        let content = Content {
            log_id: format!("{:032x}", u128::from_be_bytes(position.log_id)),
            epoch: position.epoch,
            acked_seq: position.acked_seq,
        };
        let text = serde_json::to_string(&content).map_err(Failure::failed)?;
        self.replace(&text)
            .map_err(|error| self.failure(Code::Failed, &error))
    }

    fn replace(&self, text: &str) -> io::Result<()> {
        let mut temporary = self.path.clone().into_os_string();
        temporary.push(".new");
        let mut file = File::create(&temporary)?;
        writeln!(file, "{text}")?;
        file.sync_all()?;
        fs::rename(&temporary, &self.path)?;
        sync_directory(&self.path)
    }

    fn failure(&self, code: Code, error: &dyn std::fmt::Display) -> Failure {
        let text = format!("position file {}: {error}", self.path.display());
        Failure::new(code, text)
    }
}

/// Makes the entry of `path` in its directory durable.
pub(super) fn sync_directory(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| *parent != Path::new(""));
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}
