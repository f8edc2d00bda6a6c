//! Files of certificates that are none.

use std::fs;

use rustix::fs::{CWD, FileType, Mode, mknodat};

use super::authority::{Authority, NOW_S, SetClock};
use crate::export::tls::TlsDialer;

/// A device that never ends, a pipe that nobody writes to, a directory, and more than is read: each is
/// refused at once, by name.
#[test]
fn only_files_of_bounded_length_are_read() {
    let dir = tempfile::tempdir().expect("a directory");
    let authority = Authority::new(dir.path(), "good");
    let clock = SetClock::at(NOW_S);
    let open = |path: &std::path::Path| TlsDialer::open(path.to_owned(), None, clock.clone());
    open(&authority.ca()).expect("a good one");
    let mut text = fs::read(authority.ca()).expect("reads");
    text.resize(1 << 20, b'\n');
    let path = dir.path().join("long.pem");
    fs::write(&path, &text).expect("writes");
    open(&path).expect("as long as may be");
    text.push(b'\n');
    fs::write(&path, &text).expect("writes");
    let pipe = dir.path().join("pipe");
    mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR, 0).expect("makes a pipe");
    for (path, problem) in [
        (path.as_path(), "1 MiB"),
        (pipe.as_path(), "not a regular file"),
        (dir.path(), "not a regular file"),
        (std::path::Path::new("/dev/zero"), "not a regular file"),
    ] {
        let error = open(path).expect_err("is refused").to_string();
        assert!(error.contains(problem), "{error}");
        assert!(error.contains(path.to_str().expect("text")), "{error}");
    }
}
