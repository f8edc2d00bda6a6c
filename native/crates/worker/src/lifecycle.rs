//! The first and the last steps of every worker, in the order of the spawn contract.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Args;
use rustix::fs::{FlockOperation, flock};
use rustix::process::{Signal, set_parent_process_death_signal};

use crate::exit::{Code, Failure};

/// Arguments of `run`, the same for every supervised worker.
#[derive(Args, Clone, Debug)]
pub struct RunArgs {
    /// The spec file that the daemon wrote.
    #[arg(long)]
    pub spec: PathBuf,
    /// Descriptor that gets one newline when the worker is ready.
    #[arg(long)]
    pub ready_fd: Option<u32>,
    /// Die with the parent (tests).
    #[arg(long)]
    pub ephemeral: bool,
}

/// Set by SIGTERM and SIGINT, or by the op `drain`; the threads look at it in each cycle.
#[derive(Clone, Debug)]
pub struct StopFlag(Arc<AtomicBool>);

impl StopFlag {
    /// A flag that SIGTERM and SIGINT set.
    pub fn on_signals() -> Result<Self, Failure> {
        let flag = Arc::new(AtomicBool::new(false));
        for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT] {
            signal_hook::flag::register(signal, Arc::clone(&flag))
                .map_err(|error| Failure::failed(format!("signal handler {signal}: {error}")))?;
        }
        Ok(Self(flag))
    }

    /// Asks for the stop.
    pub fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether the stop was asked for.
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Dies with the parent when `ephemeral`.
pub fn follow_parent(ephemeral: bool) -> Result<(), Failure> {
    if ephemeral {
        set_parent_process_death_signal(Some(Signal::KILL))
            .map_err(|error| Failure::failed(format!("PR_SET_PDEATHSIG: {error}")))?;
    }
    Ok(())
}

/// The exclusive lock of a worker's runtime directory; held as long as the value lives.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "the lock lives as long as the file")] File);

impl Lock {
    /// Takes the lock file `lock` in `directory`; a lock that is held ends with code 125.
    pub fn take(directory: &Path) -> Result<Self, Failure> {
        let path = directory.join("lock");
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .map_err(|error| Failure::failed(format!("lock file {}: {error}", path.display())))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self(file)),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(Failure::new(
                Code::Locked,
                format!(
                    "{} is held: this worker already runs; stop it first",
                    path.display()
                ),
            )),
            Err(error) => Err(Failure::failed(format!(
                "flock {}: {error}",
                path.display()
            ))),
        }
    }
}

/// Tells the daemon that the worker is ready: one newline on the descriptor it passed. A daemon
/// that is gone meanwhile is no reason to stop; the next one reads the state in the stats file.
pub fn announce_ready(ready_fd: Option<u32>) -> Result<(), Failure> {
    let Some(fd) = ready_fd else { return Ok(()) };
    // Through /proc, because taking over a raw descriptor would need `unsafe`. Non-blocking,
    // because opening a pipe that nobody reads would wait for a reader.
    let opened = OpenOptions::new()
        .write(true)
        .custom_flags(rustix::fs::OFlags::NONBLOCK.bits() as i32)
        .open(format!("/proc/self/fd/{fd}"));
    match opened.and_then(|mut pipe| pipe.write_all(b"\n")) {
        Ok(()) => Ok(()),
        Err(error) if is_without_reader(&error) => {
            tracing::warn!(fd, "nobody reads the ready descriptor any more");
            Ok(())
        }
        Err(error) => Err(Failure::failed(format!("ready descriptor {fd}: {error}"))),
    }
}

fn is_without_reader(error: &io::Error) -> bool {
    let no_reader = Some(rustix::io::Errno::NXIO.raw_os_error());
    error.kind() == io::ErrorKind::BrokenPipe || error.raw_os_error() == no_reader
}

/// Calls `record(message, location)` on a panic, before the default report.
pub fn on_panic(record: impl Fn(&str, &str) + Send + Sync + 'static) {
    let default = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let text = panic.payload_as_str().unwrap_or("panic without a text");
        let location = panic
            .location()
            .map(ToString::to_string)
            .unwrap_or_default();
        record(text, &location);
        default(panic);
    }));
}

/// A random UUID of version 4, from the kernel.
pub fn random_uuid() -> Result<String, Failure> {
    let path = "/proc/sys/kernel/random/uuid";
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::failed(format!("{path}: {error}")))?;
    Ok(text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The second taker of a lock is told so with exit code 125; after a release it succeeds.
    #[test]
    fn lock_is_exclusive() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let first = Lock::take(directory.path()).expect("first");
        assert_eq!(
            Lock::take(directory.path()).expect_err("second").code,
            Code::Locked
        );
        drop(first);
        Lock::take(directory.path()).expect("after the release");
    }

    /// The ready descriptor gets exactly one newline.
    #[test]
    fn ready_is_one_newline() {
        use std::io::Read;
        use std::os::fd::AsRawFd;
        let (mut reader, writer) = std::io::pipe().expect("pipe");
        let fd = u32::try_from(writer.as_raw_fd()).expect("descriptor");
        announce_ready(Some(fd)).expect("announce");
        drop(writer);
        let mut text = String::new();
        reader.read_to_string(&mut text).expect("read");
        assert_eq!(text, "\n");
    }

    /// A daemon that died before the worker was ready neither blocks nor fails the worker.
    #[test]
    fn ready_without_a_reader() {
        use std::os::fd::AsRawFd;
        let (reader, writer) = std::io::pipe().expect("pipe");
        drop(reader);
        let fd = u32::try_from(writer.as_raw_fd()).expect("descriptor");
        announce_ready(Some(fd)).expect("announce");
    }
}
