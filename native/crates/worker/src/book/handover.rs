//! Hands checkpoints to the receiver, which puts them into the stream.
//!
//! A thread of its own talks to the receiver's control socket, so that the thread with the books
//! never waits. One checkpoint is on its way at a time; what cannot be handed over is tried again,
//! then counted and given up: a checkpoint that is missing is no fault of the books.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde_json::{Value, json};
use tickdeck_wire::record::Checkpoint;

use crate::exit::Failure;

/// Attempts per checkpoint.
const ATTEMPTS: u32 = 5;
/// Wait before the second attempt; each further one doubles it.
const BACKOFF: Duration = Duration::from_millis(20);
/// How long the receiver may take to answer.
const DEADLINE: Duration = Duration::from_secs(1);
/// Longest answer that is read.
const MAX_ANSWER_BYTES: u64 = 64 * 1024;

/// Gives checkpoints to the receiver, one at a time.
pub(crate) struct Handover {
    jobs: SyncSender<Job>,
    done: Receiver<bool>,
    is_busy: bool,
    /// Attempts that failed.
    errors: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

struct Job {
    log_id: [u8; 16],
    checkpoint: Checkpoint,
}

impl Handover {
    /// Starts the thread; the receiver's control socket lies beside its ring. `worker` begins the
    /// names of the requests, which have to be different for each process.
    pub(crate) fn start(ring_path: &Path, worker: &str) -> Result<Self, Failure> {
        let (jobs, todo) = sync_channel::<Job>(1);
        let (finished, done) = sync_channel(1);
        let errors = Arc::new(AtomicU64::new(0));
        let stop = Arc::new(AtomicBool::new(false));
        let mut client = Client {
            socket: ring_path.with_file_name("control.sock"),
            worker: worker.to_owned(),
            requests: 0,
            errors: Arc::clone(&errors),
            stop: Arc::clone(&stop),
        };
        let work = move || {
            for job in todo {
                if finished.send(client.hand_over(&job)).is_err() {
                    return;
                }
            }
        };
        let thread = thread::Builder::new()
            .name("checkpoint".to_owned())
            .spawn(work)
            .map_err(|error| Failure::failed(format!("checkpoint thread: {error}")))?;
        Ok(Self {
            jobs,
            done,
            is_busy: false,
            errors,
            stop,
            thread: Some(thread),
        })
    }

    /// Whether another checkpoint can be given: the one before has arrived or was given up.
    pub(crate) fn is_idle(&self) -> bool {
        !self.is_busy
    }

    /// Hands a checkpoint to the thread.
    pub(crate) fn give(&mut self, log_id: [u8; 16], checkpoint: Checkpoint) {
        let job = Job { log_id, checkpoint };
        self.is_busy = self.jobs.try_send(job).is_ok();
        if !self.is_busy {
            self.errors.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Whether a checkpoint was finished since the last call, and is in the stream.
    pub(crate) fn finished(&mut self) -> Option<bool> {
        match self.done.try_recv() {
            Ok(is_in_stream) => {
                self.is_busy = false;
                Some(is_in_stream)
            }
            Err(TryRecvError::Empty | TryRecvError::Disconnected) => None,
        }
    }

    /// Attempts that failed so far.
    pub(crate) fn errors(&self) -> u64 {
        self.errors.load(Ordering::Relaxed)
    }
}

impl Drop for Handover {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Without a sender the thread ends after its present attempt.
        let (unused, _) = sync_channel(1);
        self.jobs = unused;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the checkpoint thread panicked");
        }
    }
}

struct Client {
    socket: PathBuf,
    worker: String,
    requests: u64,
    errors: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
}

/// Why an attempt failed, and whether another can succeed.
struct Failed {
    text: String,
    is_final: bool,
}

impl Client {
    /// Tries until it is in the stream; false when it is given up.
    fn hand_over(&mut self, job: &Job) -> bool {
        let mut backoff = BACKOFF;
        for attempt in 1..=ATTEMPTS {
            let Err(failed) = self.attempt(job) else {
                return true;
            };
            self.errors.fetch_add(1, Ordering::Relaxed);
            let is_last = failed.is_final || attempt == ATTEMPTS;
            if is_last || self.stop.load(Ordering::Relaxed) {
                let (cursor, error) = (job.checkpoint.cursor, failed.text);
                tracing::warn!(
                    cursor,
                    attempt,
                    error,
                    "a checkpoint did not get into the stream"
                );
                return false;
            }
            thread::sleep(backoff);
            backoff *= 2;
            if self.stop.load(Ordering::Relaxed) {
                return false;
            }
        }
        false
    }

    fn attempt(&mut self, job: &Job) -> Result<(), Failed> {
        self.requests += 1;
        let answer = self.ask(job).map_err(|error| Failed {
            text: format!("{}: {error}", self.socket.display()),
            is_final: false,
        })?;
        if answer["ok"] == true {
            return Ok(());
        }
        let error = &answer["error"];
        Err(Failed {
            text: error["message"]
                .as_str()
                .unwrap_or("no answer that is understood")
                .to_owned(),
            // Another log, a place that it has not reached, or it is ending: take another one.
            is_final: error["code"] == "WRONG_STATE" || error["code"] == "UNKNOWN_OP",
        })
    }

    /// One request on a connection of its own: they are rare, and the receiver may be another
    /// process each time.
    fn ask(&self, job: &Job) -> io::Result<Value> {
        let mut stream = UnixStream::connect(&self.socket)?;
        stream.set_read_timeout(Some(2 * DEADLINE))?;
        stream.set_write_timeout(Some(DEADLINE))?;
        let Checkpoint {
            cursor,
            messages,
            next_sequence,
            state_hash,
            books,
            trust,
        } = job.checkpoint;
        let args = json!({
            "log_id": format!("{:032x}", u128::from_be_bytes(job.log_id)),
            "cursor": cursor,
            "messages": messages,
            "next_sequence": next_sequence,
            "state_hash": format!("{state_hash:016x}"),
            "books": books,
            "trust": trust,
        });
        let request = json!({"id": format!("{}-{}", self.worker, self.requests),
                             "op": "book.checkpoint", "args": args,
                             "deadline_ms": DEADLINE.as_millis() as u64});
        stream.write_all(format!("{request}\n").as_bytes())?;
        let mut lines = BufReader::new(stream.take(MAX_ANSWER_BYTES)).lines();
        let mut line = || {
            lines
                .next()
                .unwrap_or(Err(io::ErrorKind::UnexpectedEof.into()))
        };
        let _hello = line()?;
        serde_json::from_str(&line()?).map_err(io::Error::other)
    }
}
