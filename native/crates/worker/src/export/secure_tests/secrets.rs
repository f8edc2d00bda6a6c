//! S06, S07: secrets compare in one way only, and are shown in none.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use super::authority::{Authority, NOW_S, Purpose, SetClock, leaf};
use super::door::{key_hex, keyring};
use crate::export::keys::{KeyFile, SecretError};
use crate::export::tls::{OwnFiles, TlsAcceptor, TlsDialer};

pub(super) fn write_secret(path: &Path, text: &str) {
    fs::write(path, text).expect("writes");
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("sets the mode");
}

/// A key file that others could read is refused, and the remedy is told; so is a link, a directory
/// and what is no text.
#[test]
fn exposed_secrets_are_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("keys");
    write_secret(&path, &format!("alpha {}\n", key_hex(1)));
    KeyFile::open(&path).expect("ours, 0600");
    for mode in [0o640, 0o604, 0o660, 0o644, 0o700, 0o400, 0o4600] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("sets the mode");
        let error = KeyFile::open(&path).expect_err("exposed");
        let text = error.to_string();
        assert!(text.contains("chmod 600"), "{mode:o}: {text}");
        assert!(!text.contains(&key_hex(1)[2..10]), "{text}");
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("sets the mode");
    let link = dir.path().join("link");
    symlink(&path, &link).expect("links");
    assert!(matches!(KeyFile::open(&link), Err(SecretError::Io { .. })));
    assert!(matches!(
        KeyFile::open(dir.path()),
        Err(SecretError::Exposed { .. })
    ));
    fs::write(&path, [0xFF, 0xFE]).expect("writes");
    assert!(matches!(
        KeyFile::open(&path),
        Err(SecretError::NotText { .. })
    ));
    if rustix::process::geteuid().is_root() {
        write_secret(&path, "alpha\n");
        std::os::unix::fs::chown(&path, Some(65_534), None).expect("changes the owner");
        let text = KeyFile::open(&path)
            .expect_err("somebody else's")
            .to_string();
        assert!(text.contains("chown"), "{text}");
    }
}

/// TLS keys are held to the same, and errors about them show nothing of them.
#[test]
fn tls_keys_are_secrets_too() {
    let dir = tempfile::tempdir().expect("a directory");
    let good = Authority::new(dir.path(), "good");
    let clock = SetClock::at(NOW_S);
    let open = |files: &OwnFiles| TlsAcceptor::open(files.clone(), None, clock.clone());
    let files = good.issue("server", &leaf(&["localhost"], Purpose::Server));
    let other = good.issue("other", &leaf(&["localhost"], Purpose::Server));
    open(&files).expect("opens");
    fs::set_permissions(&files.key, fs::Permissions::from_mode(0o644)).expect("sets the mode");
    let text = open(&files).expect_err("exposed").to_string();
    assert!(text.contains("chmod 600"), "{text}");
    let mixed = OwnFiles {
        key: other.key.clone(),
        ..files.clone()
    };
    open(&mixed).expect_err("a key of another certificate");
    let canary = "CANARYCANARYCANARY";
    write_secret(
        &files.key,
        &format!("-----BEGIN PRIVATE KEY-----\n{canary}\n-----END PRIVATE KEY-----\n"),
    );
    let text = format!("{0} {0:?}", open(&files).expect_err("no key"));
    assert!(!text.contains("CANARY"), "{text}");
    write_secret(&files.key, canary);
    let text = format!("{0} {0:?}", open(&files).expect_err("no key"));
    assert!(!text.contains("CANARY"), "{text}");
}

/// S07: no printed form of what holds keys shows a part of one.
#[test]
fn no_printed_form_shows_a_secret() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("keys");
    write_secret(&path, &format!("alpha {} {}\n", key_hex(1), key_hex(2)));
    let good = Authority::new(dir.path(), "good");
    let files = good.issue("server", &leaf(&["localhost"], Purpose::Server));
    let pem = fs::read_to_string(&files.key).expect("reads");
    let clock = SetClock::at(NOW_S);
    let acceptor = TlsAcceptor::open(files.clone(), None, clock.clone()).expect("opens");
    let dialer = TlsDialer::open(good.ca(), Some(files), clock).expect("opens");
    let shown = format!(
        "{:?} {:?} {acceptor:?} {dialer:?}",
        KeyFile::open(&path).expect("opens"),
        keyring(&format!("alpha {}", key_hex(3))),
    );
    for secret in [
        &key_hex(1)[2..],
        &key_hex(2)[2..],
        "1, 1, 1, 1",
        "2, 2, 2, 2",
        "3, 3, 3, 3",
    ] {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
    for line in pem.lines().filter(|line| !line.starts_with('-')) {
        assert!(!shown.contains(line), "a line of the TLS key in {shown}");
    }
}
