//! The control socket: JSON lines, one request and one answer each.
//!
//! On accept the worker says `{"hello":1,"worker":…,"incarnation":…,"ops":[…]}`. A request is
//! `{"id":"…","op":"…","args":{…},"deadline_ms":N}`; the answer carries the same id and either
//! `"ok":true` with `result`, or `"ok":false` with `error {code, message}`. A repeated id gets the
//! first answer again, unless that was long: only reading gives long answers, and a read may be
//! done again. An over-long or invalid line closes the connection. Only the worker's own user and
//! root may connect (SO_PEERCRED).

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde::Deserialize;
use serde_json::{Value, json};

/// Longest request line.
const MAX_LINE_BYTES: usize = 64 * 1024;
/// Answers kept for repeated ids.
const REMEMBERED_ANSWERS: usize = 256;
/// Longest answer that is kept, its id included.
const REMEMBERED_BYTES: usize = 16 * 1024;
/// Longest wait of a call: calls are served one at a time, and a stop waits for the present one.
const MAX_DEADLINE_MS: u64 = 60_000;
/// Connections served at a time.
const MAX_CONNECTIONS: usize = 8;
/// How soon a stop is noticed.
const STOP_POLL: Duration = Duration::from_millis(100);

/// Why a command was refused.
#[derive(Debug)]
pub struct ControlError {
    /// UPPER_SNAKE, such as `WRONG_STATE`, `UNKNOWN_OP`, `INVALID_ARGS`, `NOT_FOUND`.
    pub code: &'static str,
    /// What, where and what to do.
    pub message: String,
}

impl ControlError {
    /// An error with a code and a sentence.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }

    /// The answer to an op that this worker does not have.
    pub fn unknown_op(op: &str) -> Self {
        Self::new(
            "UNKNOWN_OP",
            format!("this worker has no op {op:?}; see ops in its hello"),
        )
    }

    /// The answer to arguments that are missing or of the wrong type.
    pub fn invalid_args(message: impl Into<String>) -> Self {
        Self::new("INVALID_ARGS", message)
    }
}

/// A command.
#[derive(Debug)]
pub struct Call<'a> {
    /// Such as `drain`.
    pub op: &'a str,
    /// An object; empty when the request had none.
    pub args: &'a Value,
    /// How long the caller waits, in milliseconds; a minute at most.
    pub deadline_ms: u64,
}

impl Call<'_> {
    /// The unsigned integer `key`, or `None` when it is absent; another type is an error.
    pub fn u64(&self, key: &str) -> Result<Option<u64>, ControlError> {
        self.typed(key, "an unsigned integer", Value::as_u64)
    }

    /// The text `key`, or `None` when it is absent; another type is an error.
    pub fn str(&self, key: &str) -> Result<Option<&str>, ControlError> {
        self.typed(key, "a string", Value::as_str)
    }

    /// The flag `key`, or `None` when it is absent; another type is an error.
    pub fn bool(&self, key: &str) -> Result<Option<bool>, ControlError> {
        self.typed(key, "true or false", Value::as_bool)
    }

    fn typed<'v, T>(
        &'v self,
        key: &str,
        wanted: &str,
        read: impl Fn(&'v Value) -> Option<T>,
    ) -> Result<Option<T>, ControlError> {
        match self.args.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => match read(value) {
                Some(typed) => Ok(Some(typed)),
                None => Err(ControlError::invalid_args(format!(
                    "{}: argument {key} is {value}, wanted {wanted}",
                    self.op
                ))),
            },
        }
    }
}

/// Serves the socket on its own thread until dropped; the file is removed then.
#[derive(Debug)]
pub struct ControlServer {
    path: PathBuf,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl ControlServer {
    /// Binds `path` (mode 0600; a stale file is replaced: the caller holds the worker's lock)
    /// and answers with `handler`, one call at a time.
    pub fn serve(
        path: &Path,
        hello: Hello<'_>,
        handler: impl FnMut(&Call<'_>) -> Result<Value, ControlError> + Send + 'static,
    ) -> io::Result<Self> {
        if let Err(error) = std::fs::remove_file(path)
            && error.kind() != io::ErrorKind::NotFound
        {
            return Err(error);
        }
        let listener = UnixListener::bind(path)?;
        rustix::fs::chmod(path, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR)?;
        listener.set_nonblocking(true)?;
        let stop = Arc::new(AtomicBool::new(false));
        let shared = Arc::new(Shared {
            hello: hello.line(),
            stop: Arc::clone(&stop),
            state: Mutex::new(State {
                handler: Box::new(handler),
                answers: VecDeque::new(),
                generation: 0,
            }),
        });
        let thread = thread::Builder::new()
            .name("control".to_owned())
            .spawn(move || accept_until_stopped(&listener, &shared))?;
        Ok(Self {
            path: path.to_owned(),
            stop,
            thread: Some(thread),
        })
    }
}

impl Drop for ControlServer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the control thread panicked");
        }
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "control socket not removed");
        }
    }
}

/// What the worker says first on each connection.
#[derive(Clone, Copy, Debug)]
pub struct Hello<'a> {
    /// Worker id.
    pub worker: &'a str,
    /// UUID of the incarnation.
    pub incarnation: &'a str,
    /// The ops that it has.
    pub ops: &'a [&'a str],
}

impl Hello<'_> {
    fn line(&self) -> String {
        let build = env!("CARGO_PKG_VERSION");
        let (worker, incarnation, ops) = (self.worker, self.incarnation, self.ops);
        let hello = json!({"hello": 1, "worker": worker, "incarnation": incarnation,
                           "build_id": build, "ops": ops});
        format!("{hello}\n")
    }
}

type Handler = Box<dyn FnMut(&Call<'_>) -> Result<Value, ControlError> + Send>;

struct Shared {
    hello: String,
    stop: Arc<AtomicBool>,
    state: Mutex<State>,
}

struct State {
    handler: Handler,
    answers: VecDeque<(String, String)>,
    generation: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    id: String,
    op: String,
    #[serde(default)]
    args: Value,
    #[serde(default = "default_deadline_ms")]
    deadline_ms: u64,
}

fn default_deadline_ms() -> u64 {
    5_000
}

fn accept_until_stopped(listener: &UnixListener, shared: &Arc<Shared>) {
    let mut connections: Vec<JoinHandle<()>> = Vec::new();
    while !shared.stop.load(Ordering::Relaxed) {
        wait_readable(listener);
        connections.retain(|connection| !connection.is_finished());
        match listener.accept() {
            Ok((stream, _)) if connections.len() < MAX_CONNECTIONS => {
                let shared = Arc::clone(shared);
                let name = "connection".to_owned();
                let serve = move || serve_connection(stream, &shared);
                match thread::Builder::new().name(name).spawn(serve) {
                    Ok(connection) => connections.push(connection),
                    Err(error) => tracing::warn!(%error, "no thread for a control connection"),
                }
            }
            Ok(_) => tracing::warn!(
                limit = MAX_CONNECTIONS,
                "control connection refused: too many"
            ),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => {
                tracing::warn!(%error, "accept on the control socket failed");
                thread::sleep(STOP_POLL);
            }
        }
    }
    for connection in connections {
        if connection.join().is_err() {
            tracing::error!("a control connection panicked");
        }
    }
}

fn wait_readable(listener: &UnixListener) {
    let timeout = Timespec {
        tv_sec: 0,
        tv_nsec: i64::from(STOP_POLL.subsec_nanos()),
    };
    let mut fds = [PollFd::new(listener, PollFlags::IN)];
    if let Err(error) = poll(&mut fds, Some(&timeout))
        && error != rustix::io::Errno::INTR
    {
        tracing::warn!(%error, "poll on the control socket failed");
        thread::sleep(STOP_POLL);
    }
}

fn serve_connection(mut stream: UnixStream, shared: &Shared) {
    if let Err(error) = converse(&mut stream, shared) {
        tracing::warn!(%error, "control connection closed");
    }
}

/// Greets, then answers line by line until the peer leaves or the worker stops.
fn converse(stream: &mut UnixStream, shared: &Shared) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    let peer = rustix::net::sockopt::socket_peercred(&*stream)?;
    if !peer.uid.is_root() && peer.uid != rustix::process::geteuid() {
        let refusal = format!("uid {} may not control this worker", peer.uid.as_raw());
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, refusal));
    }
    stream.set_read_timeout(Some(STOP_POLL))?;
    stream.set_write_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(shared.hello.as_bytes())?;
    let mut pending = Vec::new();
    let mut chunk = [0; 4096];
    while !shared.stop.load(Ordering::Relaxed) {
        let length = match stream.read(&mut chunk) {
            Ok(0) => return Ok(()),
            Ok(length) => length,
            Err(error) if would_block(&error) => continue,
            Err(error) => return Err(error),
        };
        pending.extend_from_slice(&chunk[..length]);
        while let Some(end) = pending.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = pending.drain(..=end).collect();
            let answer = answer(&line, shared)?;
            stream.write_all(answer.as_bytes())?;
        }
        if pending.len() > MAX_LINE_BYTES {
            let text = format!("request line longer than {MAX_LINE_BYTES} bytes");
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
    }
    Ok(())
}

fn would_block(error: &io::Error) -> bool {
    use io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
    matches!(error.kind(), WouldBlock | TimedOut | Interrupted)
}

fn answer(line: &[u8], shared: &Shared) -> io::Result<String> {
    let request: Request = serde_json::from_slice(line)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    // A panic inside a handler ends the process (`panic = "abort"`) or this connection only.
    let mut state = shared.state.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, answer)) = state.answers.iter().find(|(id, _)| *id == request.id) {
        return Ok(answer.clone());
    }
    let args = if request.args.is_null() {
        json!({})
    } else {
        request.args
    };
    let call = Call {
        op: &request.op,
        args: &args,
        deadline_ms: request.deadline_ms.min(MAX_DEADLINE_MS),
    };
    let body = match (state.handler)(&call) {
        Ok(result) => {
            state.generation += 1;
            json!({"id": request.id, "ok": true, "generation": state.generation, "result": result})
        }
        Err(ControlError { code, message }) => {
            json!({"id": request.id, "ok": false, "error": {"code": code, "message": message}})
        }
    };
    let answer = format!("{body}\n");
    if request.id.len() + answer.len() <= REMEMBERED_BYTES {
        if state.answers.len() == REMEMBERED_ANSWERS {
            state.answers.pop_front();
        }
        state.answers.push_back((request.id, answer.clone()));
    }
    Ok(answer)
}

#[cfg(test)]
mod tests;
