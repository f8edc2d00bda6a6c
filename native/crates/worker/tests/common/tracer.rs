//! strace on one thread of a worker, so that no other thread is slowed.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, Stdio};

/// A running strace; detached when dropped.
pub(crate) struct Tracer {
    child: Child,
    /// Open as long as strace may write to it.
    _stderr: BufReader<ChildStderr>,
}

impl Tracer {
    /// Tampers with a thread's calls of one kind, such as `delay_enter=200000` (in microseconds), from
    /// now on.
    pub(crate) fn on(pid: u32, thread: &str, call: &str, how: &str) -> Self {
        let mut child = Command::new("strace")
            .args(["-e", &format!("trace={call}"), "-o", "/dev/null", "-e"])
            .arg(format!("inject={call}:{how}"))
            .args(["-p", &thread_number(pid, thread)])
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

fn thread_number(pid: u32, thread: &str) -> String {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("its threads");
    let mut paths = tasks.map(|task| task.expect("a thread").path());
    let is_it = |path: &PathBuf| {
        fs::read_to_string(path.join("comm")).is_ok_and(|name| name.trim() == thread)
    };
    let path = paths
        .find(is_it)
        .unwrap_or_else(|| panic!("no thread {thread}"));
    let number = path.file_name().and_then(|name| name.to_str());
    number.expect("a number").to_owned()
}
