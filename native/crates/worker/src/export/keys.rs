//! The key file of the export: secret, so its mode and owner are looked at before its content.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use tickdeck_export::auth::{Key, Keyring, KeyringError};
use zeroize::Zeroizing;

/// Longest file of keys or certificates.
pub(super) const MAX_BYTES: u64 = 1 << 20;

/// Why a secret file is not used. The texts name the file and never its content.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SecretError {
    /// The system refused.
    #[error("{path}: {error}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// Others could read it, or it is somebody else's, or no file.
    #[error("{path}: {problem}; a secret is a regular file of ours with mode 0600: {remedy}")]
    Exposed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
        /// The command that mends it.
        remedy: String,
    },
    /// Not UTF-8, or longer than a secret is.
    #[error("{path}: not a text of at most 1 MiB")]
    NotText {
        /// The file.
        path: PathBuf,
    },
    /// A line is wrong.
    #[error("{path}: {error}")]
    Keys {
        /// The file.
        path: PathBuf,
        /// Which and why.
        error: KeyringError,
    },
}

/// The keys in force, which a reload replaces. A file that cannot be used leaves the old ones.
#[derive(Debug)]
pub(crate) struct KeyFile {
    path: PathBuf,
    keys: Mutex<Arc<Keyring>>,
}

impl KeyFile {
    /// Reads the file.
    pub(crate) fn open(path: &Path) -> Result<Self, SecretError> {
        Ok(Self {
            path: path.to_owned(),
            keys: Mutex::new(Arc::new(read_keys(path)?)),
        })
    }

    /// Reads it again. Who is connected stays; the next proof is judged by the new keys.
    pub(crate) fn reload(&self) -> Result<(), SecretError> {
        let keys = Arc::new(read_keys(&self.path)?);
        *self.keys.lock().unwrap_or_else(PoisonError::into_inner) = keys;
        Ok(())
    }

    /// The keys as of now.
    pub(crate) fn keys(&self) -> Arc<Keyring> {
        Arc::clone(&self.keys.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Reads a secret text after a look at who else could.
pub(crate) fn read_secret(path: &Path) -> Result<Zeroizing<String>, SecretError> {
    let io = |error| SecretError::Io {
        path: path.to_owned(),
        error,
    };
    // Never a link, and never waiting for a pipe's other end.
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits() as i32)
        .open(path)
        .map_err(io)?;
    check_privacy(path, &file)?;
    let mut text = Zeroizing::new(String::new());
    match file.take(MAX_BYTES + 1).read_to_string(&mut text) {
        Ok(length) if length as u64 <= MAX_BYTES => Ok(text),
        Ok(_) => Err(SecretError::NotText {
            path: path.to_owned(),
        }),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(SecretError::NotText {
            path: path.to_owned(),
        }),
        Err(error) => Err(io(error)),
    }
}

fn check_privacy(path: &Path, file: &File) -> Result<(), SecretError> {
    let found = file.metadata().map_err(|error| SecretError::Io {
        path: path.to_owned(),
        error,
    })?;
    let us = rustix::process::geteuid().as_raw();
    let mode = found.mode() & 0o7777;
    let (problem, remedy) = if !found.is_file() {
        let remedy = "name the file itself".to_owned();
        ("not a regular file".to_owned(), remedy)
    } else if found.uid() != us {
        let remedy = format!("chown {us} {}", path.display());
        (
            format!("belongs to uid {}, we are {us}", found.uid()),
            remedy,
        )
    } else if mode != 0o600 {
        let remedy = format!("chmod 600 {}", path.display());
        (format!("mode {mode:04o}"), remedy)
    } else {
        return Ok(());
    };
    Err(SecretError::Exposed {
        path: path.to_owned(),
        problem,
        remedy,
    })
}

fn read_keys(path: &Path) -> Result<Keyring, SecretError> {
    let text = read_secret(path)?;
    let decoy = random_key().map_err(|error| SecretError::Io {
        path: PathBuf::from("/dev/urandom"),
        error,
    })?;
    Keyring::parse(&text, decoy).map_err(|error| SecretError::Keys {
        path: path.to_owned(),
        error,
    })
}

fn random_key() -> io::Result<Key> {
    random_bytes().map(Key::new)
}

/// Bytes that nobody can guess: nonces, sessions. The device stays open, so that who has once got some
/// gets more when descriptors have run out.
pub(crate) fn random_bytes<const N: usize>() -> io::Result<[u8; N]> {
    static DEVICE: OnceLock<File> = OnceLock::new();
    let mut device = match DEVICE.get() {
        Some(device) => device,
        None => {
            let device = File::open("/dev/urandom")?;
            DEVICE.get_or_init(|| device)
        }
    };
    let mut bytes = [0; N];
    device.read_exact(&mut bytes)?;
    Ok(bytes)
}
