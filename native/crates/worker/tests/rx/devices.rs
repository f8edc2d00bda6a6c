//! Devices under a running worker's journal: slow and hanging ones by strace, full ones on a tmpfs.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};

use tickdeck_testbed::skip;

use crate::plant::Worker;

/// False, said aloud, when this process may neither trace nor mount.
pub(crate) fn is_privileged(test_name: &str) -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        skip(test_name, "it needs root to trace and to mount");
    }
    is_root
}

/// strace on the journal thread alone, so that no other thread is slowed; detached when dropped.
pub(crate) struct Tracer {
    child: Child,
    /// Open as long as strace may write to it.
    _stderr: BufReader<ChildStderr>,
}

impl Tracer {
    /// Tampers with the journal thread's calls of fdatasync, such as `delay_enter=200000` (in
    /// microseconds), from now on.
    pub(crate) fn tamper(worker: &Worker, how: &str) -> Self {
        let mut child = Command::new("strace")
            .args(["-e", "trace=fdatasync", "-o", "/dev/null", "-e"])
            .arg(format!("inject=fdatasync:{how}"))
            .args(["-p", &journal_thread(worker)])
            .stderr(Stdio::piped())
            .spawn()
            .expect("strace is there: requirements/test-packages.sh");
        let mut stderr = BufReader::new(child.stderr.take().expect("standard error is a pipe"));
        let mut line = String::new();
        stderr.read_line(&mut line).expect("strace speaks");
        assert!(line.contains("attached"), "{line}");
        Self {
            child,
            _stderr: stderr,
        }
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.child.kill().expect("SIGKILL");
            self.child.wait().expect("ended");
        }
    }
}

/// Number of the worker's journal thread.
fn journal_thread(worker: &Worker) -> String {
    let tasks = fs::read_dir(format!("/proc/{}/task", worker.pid())).expect("its threads");
    let mut paths = tasks.map(|task| task.expect("a thread").path());
    let is_journal = |path: &PathBuf| {
        fs::read_to_string(path.join("comm")).is_ok_and(|name| name.trim() == "journal")
    };
    let path = paths.find(is_journal).expect("a journal thread");
    let number = path.file_name().and_then(|name| name.to_str());
    number.expect("a number").to_owned()
}

/// A small file system of the test's own, unmounted when dropped.
pub(crate) struct SmallDisk {
    path: PathBuf,
}

impl SmallDisk {
    /// A tmpfs of so many bytes, such as `32m`.
    pub(crate) fn mount(path: PathBuf, size: &str) -> Self {
        fs::create_dir_all(&path).expect("creates");
        let options = format!("size={size}");
        let status = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
            .arg(&path)
            .status();
        assert!(status.expect("mount runs").success());
        Self { path }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Takes all the space that is left.
    pub(crate) fn fill(&self) {
        let mut ballast = File::create(self.ballast()).expect("creates");
        let page = [1; 4096];
        let error = loop {
            if let Err(error) = ballast.write_all(&page) {
                break error;
            }
        };
        assert_eq!(error.kind(), ErrorKind::StorageFull, "{error}");
    }

    /// Takes all the space that is left but so many bytes.
    pub(crate) fn fill_but(&self, left: u64) {
        let status = rustix::fs::statvfs(&self.path).expect("tells its space");
        let free = status.f_bavail * status.f_frsize;
        let ballast = vec![1; usize::try_from(free - left).expect("small")];
        fs::write(self.ballast(), ballast).expect("writes");
    }

    /// Nobody may write from now on.
    pub(crate) fn forbid_writing(&self) {
        let status = Command::new("mount")
            .args(["-o", "remount,ro"])
            .arg(&self.path)
            .status();
        assert!(status.expect("mount runs").success());
    }

    /// Gives it back.
    pub(crate) fn make_room(&self) {
        fs::remove_file(self.ballast()).expect("removes");
    }

    fn ballast(&self) -> PathBuf {
        self.path.join("ballast")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        match Command::new("umount").arg(&self.path).status() {
            Ok(status) if status.success() => {}
            other => eprintln!("left behind: {}: {other:?}", self.path.display()),
        }
    }
}
