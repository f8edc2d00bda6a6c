//! Pins: how far each reader that the log must wait for has come.
//!
//! A pin is a small JSON file, `pins/<client>.json`, replaced as a whole by its owner: a subscriber's
//! exporter for the subscriber, the book worker for its newest snapshot ([`BOOK_PIN`]). Retention
//! removes nothing above the smallest acknowledged sequence of the pins that still hold; a pin that
//! lets its backlog grow beyond its own cap may be passed, and is marked `lost` first.
//!
//! A pin that cannot be read is an error, never a pin that is absent: what it holds is unknown.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::directory::{PINS, sync_directory};
use crate::error::{Class, JournalError, Problem};
use crate::format::MAX_NUMBER;

/// Client of the pin that the book worker writes after each snapshot.
pub const BOOK_PIN: &str = "@book";

/// How far one reader has come, and how far it may fall behind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// Who it is; also the name of the file.
    pub client: String,
    /// Everything up to it is no longer needed by this reader.
    pub acked_seq: u64,
    /// Most bytes of segments that it may hold beyond the log's own limits; 0 is no limit.
    #[serde(default)]
    pub retain_max_bytes: u64,
    /// Longest time that it may hold a closed segment, in seconds; 0 is no limit.
    #[serde(default)]
    pub retain_max_age_s: u64,
    /// When it acknowledged last, UTC nanoseconds; for people, retention does not look at it.
    #[serde(default)]
    pub acked_ns: u64,
    /// Something that it had not acknowledged was pruned because it was beyond its cap; it holds
    /// nothing until its owner writes it anew.
    #[serde(default)]
    pub lost: bool,
}

impl Pin {
    /// Reads the content of a pin file.
    ///
    /// # Errors
    ///
    /// A sentence that says what is wrong.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        if bytes.len() > MOST_BYTES {
            return Err(format!("longer than {MOST_BYTES} bytes"));
        }
        let pin: Self = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if !is_client(&pin.client) {
            return Err(format!("{:?} is no name of a client", pin.client));
        }
        if pin.acked_seq >= MAX_NUMBER {
            return Err(format!("acked_seq {} is out of range", pin.acked_seq));
        }
        Ok(pin)
    }
}

/// True for a name that a pin may have: 1 to 64 letters, digits and `@._-`, no dot first.
#[must_use]
pub fn is_client(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"@._-".contains(&byte);
    (1..=64).contains(&name.len()) && name.bytes().all(allowed) && !name.starts_with('.')
}

/// The pins of a log, in order of their clients.
///
/// # Errors
///
/// [`JournalError::Damaged`] of class `bad_pin` when one cannot be read as a pin,
/// [`JournalError::Io`] when the system refuses.
pub fn read_pins(dir: impl AsRef<Path>) -> Result<Vec<Pin>, JournalError> {
    let folder = dir.as_ref().join(PINS);
    let failed = |error| JournalError::io("cannot list", &folder, error);
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut pins = Vec::new();
    for entry in entries {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(client) = name.strip_suffix(SUFFIX).filter(|it| !it.starts_with('.')) else {
            continue;
        };
        pins.extend(read_pin(&entry.path(), client)?);
    }
    pins.sort_by(|a: &Pin, b: &Pin| a.client.cmp(&b.client));
    Ok(pins)
}

/// Writes a pin durably in the place of the one before.
///
/// # Errors
///
/// [`JournalError::BadSetting`] when the client's name cannot be a file's, [`JournalError::Io`]
/// when the system refuses; the pin before is whole then.
pub fn write_pin(dir: impl AsRef<Path>, pin: &Pin) -> Result<(), JournalError> {
    check_client(&pin.client)?;
    let folder = dir.as_ref().join(PINS);
    if !folder.is_dir() {
        fs::create_dir_all(&folder)
            .map_err(|error| JournalError::io("cannot create", &folder, error))?;
        sync_directory(dir.as_ref())?;
    }
    let path = folder.join(format!("{}{SUFFIX}", pin.client));
    // One owner writes a pin, so one temporary name is enough; retention has another one.
    let temporary = folder.join(format!(".{}.{}.tmp", pin.client, std::process::id()));
    let failed = |context| {
        let temporary = temporary.clone();
        move |error| JournalError::io(context, &temporary, error)
    };
    let mut text = serde_json::to_vec(pin).expect("numbers and a name are JSON");
    text.push(b'\n');
    let file = File::create(&temporary).map_err(failed("cannot create"))?;
    io::Write::write_all(&mut &file, &text).map_err(failed("cannot write"))?;
    file.sync_data().map_err(failed("cannot sync"))?;
    fs::rename(&temporary, &path).map_err(failed("cannot rename"))?;
    sync_directory(&folder)
}

/// Removes a pin; one that is absent is fine.
///
/// # Errors
///
/// As [`write_pin`].
pub fn remove_pin(dir: impl AsRef<Path>, client: &str) -> Result<(), JournalError> {
    check_client(client)?;
    let folder = dir.as_ref().join(PINS);
    let path = folder.join(format!("{client}{SUFFIX}"));
    match fs::remove_file(&path) {
        Ok(()) => sync_directory(&folder),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(JournalError::io("cannot remove", &path, error)),
    }
}

/// The pin in a file; `None` when its owner has removed it meanwhile.
fn read_pin(path: &Path, client: &str) -> Result<Option<Pin>, JournalError> {
    let failed = |error| JournalError::io("cannot read", path, error);
    let mut bytes = Vec::new();
    match File::open(path) {
        Ok(file) => file
            .take(MOST_BYTES as u64 + 1)
            .read_to_end(&mut bytes)
            .map_err(failed)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let parsed = Pin::parse(&bytes).and_then(|pin| match pin.client == client {
        true => Ok(pin),
        false => Err(format!("names the client {:?}", pin.client)),
    });
    parsed.map(Some).map_err(|detail| {
        JournalError::Damaged(Problem {
            file: format!("{PINS}/{client}{SUFFIX}"),
            offset: 0,
            class: Class::BadPin,
            from: None,
            to: None,
            detail,
        })
    })
}

fn check_client(name: &str) -> Result<(), JournalError> {
    if is_client(name) {
        return Ok(());
    }
    Err(JournalError::BadSetting {
        name: "client",
        reason: format!("{name:?}; must be 1 to 64 letters, digits and @._-, no dot first"),
    })
}

const SUFFIX: &str = ".json";
const MOST_BYTES: usize = 4096;

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    fn pin(client: &str, acked_seq: u64) -> Pin {
        Pin {
            client: client.into(),
            acked_seq,
            retain_max_bytes: 1 << 20,
            retain_max_age_s: 60,
            acked_ns: 5,
            lost: false,
        }
    }

    /// What is written is read, in order of names; a removed pin is gone, and removing it again is
    /// fine; a temporary file that a crash left is no pin.
    #[test]
    fn pins_are_kept() {
        let dir = TempDir::new().expect("a directory");
        assert_eq!(read_pins(dir.path()).expect("reads"), []);
        for pin in [pin("west", 7), pin(BOOK_PIN, 9), pin("west", 8)] {
            write_pin(dir.path(), &pin).expect("writes");
        }
        fs::write(dir.path().join("pins/.west.1.tmp"), b"{").expect("writes");
        let expected = [pin(BOOK_PIN, 9), pin("west", 8)];
        assert_eq!(read_pins(dir.path()).expect("reads"), expected);
        remove_pin(dir.path(), "west").expect("removes");
        remove_pin(dir.path(), "west").expect("is gone");
        assert_eq!(read_pins(dir.path()).expect("reads"), expected[..1]);
    }

    /// A pin that cannot be read is named; it is not taken for an absent one.
    #[test]
    fn a_bad_pin_is_an_error() {
        let dir = TempDir::new().expect("a directory");
        write_pin(dir.path(), &pin("west", 7)).expect("writes");
        let path = dir.path().join("pins/west.json");
        let other = serde_json::to_vec(&pin("east", 1)).expect("encodes");
        let beyond = serde_json::to_vec(&pin("west", MAX_NUMBER)).expect("encodes");
        for bytes in [
            &b""[..],
            b"{}",
            b"{\"client\":\"west\"}",
            &other,
            &beyond,
            &[b' '; 5000],
        ] {
            fs::write(&path, bytes).expect("writes");
            match read_pins(dir.path()) {
                Err(JournalError::Damaged(problem)) => {
                    assert_eq!(
                        (problem.class, &*problem.file),
                        (Class::BadPin, "pins/west.json")
                    );
                }
                other => panic!("{other:?}"),
            }
        }
    }

    /// A name that would leave the directory, or hide in it, is refused.
    #[test]
    fn names_stay_in_the_directory() {
        let dir = TempDir::new().expect("a directory");
        for name in [
            "",
            ".",
            "..",
            "../x",
            "a/b",
            ".hidden",
            "a b",
            &"x".repeat(65),
        ] {
            assert!(write_pin(dir.path(), &pin(name, 1)).is_err(), "{name:?}");
            assert!(remove_pin(dir.path(), name).is_err(), "{name:?}");
        }
    }
}
