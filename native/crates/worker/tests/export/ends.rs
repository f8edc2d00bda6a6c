//! X25: a thread that ends, however it ends, takes the exporter with it, and the last words say why.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;
use tickdeck_stats::ExitReason;
use tickdeck_testbed::{promised, skip};

use crate::plant::{Exporter, Plant, wait_until};

/// Lets system calls of one thread fail; killed when dropped.
struct Injection(Child);

impl Injection {
    fn into(exporter: &Exporter, thread: &str, what: &str) -> Self {
        let mut tid = None;
        wait_until("the thread is there", || {
            tid = tid_of(exporter, thread);
            tid.is_some()
        });
        let strace = Command::new("strace")
            .args(["-qq", "-o", "/dev/null", "-e", what, "-p"])
            .arg(tid.expect("was found"))
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Self(strace.expect("strace is there"))
    }
}

impl Drop for Injection {
    fn drop(&mut self) {
        if self.0.try_wait().expect("waits").is_none() {
            self.0.kill().expect("kills");
            self.0.wait().expect("waits");
        }
    }
}

/// What a read of a thread's file says once the thread is gone.
const ESRCH: i32 = 3;

fn tid_of(exporter: &Exporter, thread: &str) -> Option<String> {
    let tasks = PathBuf::from(format!("/proc/{}/task", exporter.pid()));
    let tasks = fs::read_dir(tasks).expect("lists");
    let mut tasks = tasks.map(|task| task.expect("lists").path());
    let is_it = |task: &PathBuf| {
        match fs::read_to_string(task.join("comm")) {
            Ok(name) => name.trim() == thread,
            // It ended since the list was read: gone before the file was opened, or before the read.
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) if error.raw_os_error() == Some(ESRCH) => false,
            Err(error) => panic!("{}: {error}", task.display()),
        }
    };
    let task = tasks.find(is_it)?;
    Some(task.file_name()?.to_string_lossy().into_owned())
}

fn can_trace(test_name: &str) -> bool {
    let is_there = Command::new("strace").arg("-V").output().is_ok();
    match (is_there, rustix::process::geteuid().is_root()) {
        (true, true) => true,
        (false, _) => {
            skip(test_name, "needs strace: requirements/test-packages.sh");
            false
        }
        (_, false) => {
            skip(test_name, "needs root, to trace another process");
            false
        }
    }
}

/// Injects and gives how long the exporter lived on, its code, and the reason of its last words.
fn end_of(mut exporter: Exporter, thread: &str, what: &str) -> (Duration, Option<ExitReason>) {
    let stats = exporter.stats();
    let begun = Instant::now();
    let _injection = Injection::into(&exporter, thread, what);
    let status = exporter.wait();
    let took = begun.elapsed();
    assert!(!status.success(), "{status:?}");
    let words = stats.exit_record().expect("last words");
    assert!(!words.message.is_empty());
    (took, words.reason)
}

/// The thread at the door and the one that serves cannot wait any more: an exporter that does not
/// export is gone within a second.
#[test]
fn a_thread_that_ends_ends_the_exporter() {
    if !can_trace("a_thread_that_ends_ends_the_exporter") {
        return;
    }
    for thread in ["door", "feed"] {
        let mut plant = Plant::new();
        plant.append(10, 40);
        let exporter = plant.export_on_unix(json!({}));
        let (took, reason) = end_of(exporter, thread, "inject=poll,ppoll:error=EBADF");
        assert_eq!(reason, Some(ExitReason::Failed));
        let most = promised(Duration::from_secs(1));
        assert!(took < most, "{thread}: {took:?}");
    }
}

/// A panic is one more way: the sleep of the thread that dials must not fail, and does.
#[test]
fn a_panic_ends_the_exporter() {
    if !can_trace("a_panic_ends_the_exporter") {
        return;
    }
    let mut plant = Plant::new();
    plant.append(10, 40);
    let nobody = format!("unix:{}", plant.path("nobody").display());
    let exporter = plant.export(
        json!({"mode": "connect", "addr": null, "collectors": [nobody]}),
        json!({}),
    );
    let (took, reason) = end_of(
        exporter,
        "caller",
        "inject=nanosleep,clock_nanosleep:error=EINVAL",
    );
    assert_eq!(reason, Some(ExitReason::Panic));
    assert!(took < promised(Duration::from_secs(1)), "{took:?}");
}
