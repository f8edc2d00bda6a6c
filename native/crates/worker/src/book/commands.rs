//! Control ops of the book worker.
//!
//! The control thread checks the arguments and puts a query into a bounded queue; the thread that
//! owns the books answers between two batches. No lock stands between a message and its book.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};

use super::answers::{BookDepth, BookList, DepthKind};
use super::venue::BookChannel;
use crate::control::{Call, ControlError};
use crate::lifecycle::StopFlag;

/// The ops named in the hello line.
pub(crate) const OPS: [&str; 6] = [
    "status",
    "book.list",
    "book.depth",
    "book.snapshot",
    "book.check",
    "drain",
];

/// Books in one answer, so that it stays below 1 MiB; `offset` asks for the others.
pub(crate) const LIST_LIMIT: usize = 1_500;

/// Levels per side in one answer.
const LEVELS_LIMIT: u64 = 5_000;

/// Queries waiting at a time.
const QUEUE: usize = 16;

/// How long a drain may take when it was not said.
const DRAIN_DEADLINE_MS: u64 = 5_000;

/// A question to the thread that owns the books.
#[derive(Debug)]
pub(crate) enum Query {
    /// `status`
    Status,
    /// `book.list`
    List {
        /// Compute both hashes of each book.
        hashes: bool,
        /// Books to leave out, in the order of their symbols.
        offset: usize,
    },
    /// `book.depth`
    Depth {
        /// The instrument.
        symbol: String,
        /// By order, by price, or implied; by order first when it was not said.
        kind: Option<DepthKind>,
        /// Levels per side.
        levels: usize,
    },
    /// `book.snapshot`
    Snapshot,
    /// `book.check`
    Check {
        /// One instrument; all when there is none.
        symbol: Option<String>,
    },
}

/// What a query is answered with.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Answer {
    /// Some facts.
    Facts(Value),
    /// Books.
    List(BookList),
    /// One book.
    Depth(Box<BookDepth>),
}

/// Where in the stream an answer holds.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Place {
    /// Number of the next record.
    pub(crate) cursor: u64,
    /// Messages applied.
    pub(crate) messages: u64,
    /// Venue sequence number of the next message.
    pub(crate) next_sequence: Option<u64>,
}

impl Place {
    /// Where a channel stands.
    pub(crate) fn of(channel: &BookChannel) -> Self {
        Self {
            cursor: channel.cursor(),
            messages: channel.books().counters().messages,
            next_sequence: channel.next_sequence(),
        }
    }
}

/// A query and where its answer goes.
pub(crate) struct Request {
    /// What is asked.
    pub(crate) query: Query,
    reply: SyncSender<Result<Answer, ControlError>>,
}

impl Request {
    /// Sends the answer. Nobody waiting any more is the asker's decision, not an error.
    pub(crate) fn answer(self, answer: Result<Answer, ControlError>) {
        if self.reply.send(answer).is_err() {
            tracing::debug!(query = ?self.query, "the asker left");
        }
    }
}

/// When a drain has to be finished, in milliseconds from its order.
#[derive(Clone, Debug)]
pub(crate) struct DrainDeadline(Arc<AtomicU64>);

impl DrainDeadline {
    /// The default, until an order names another.
    pub(crate) fn new() -> Self {
        Self(Arc::new(AtomicU64::new(DRAIN_DEADLINE_MS)))
    }

    /// The time that a drain may take.
    pub(crate) fn get(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::Relaxed))
    }
}

/// The handler for the control server and the queue that it fills.
pub(crate) fn handler(
    stop: StopFlag,
    deadline: DrainDeadline,
) -> (
    impl FnMut(&Call<'_>) -> Result<Value, ControlError> + Send,
    Receiver<Request>,
) {
    let (queue, requests) = sync_channel(QUEUE);
    let handle = move |call: &Call<'_>| {
        let query = match call.op {
            "status" => Query::Status,
            "book.list" => list_query(call)?,
            "book.depth" => depth_query(call)?,
            "book.snapshot" => Query::Snapshot,
            "book.check" => Query::Check {
                symbol: call.str("symbol")?.map(str::to_owned),
            },
            "drain" => {
                let deadline_ms = call.u64("deadline_ms")?.unwrap_or(DRAIN_DEADLINE_MS);
                deadline.0.store(deadline_ms, Ordering::Relaxed);
                stop.set();
                return Ok(json!({"state": "DRAINING", "deadline_ms": deadline_ms}));
            }
            other => return Err(ControlError::unknown_op(other)),
        };
        ask(&queue, query, Duration::from_millis(call.deadline_ms))
    };
    (handle, requests)
}

fn list_query(call: &Call<'_>) -> Result<Query, ControlError> {
    let hashes = call.bool("hashes")?.unwrap_or(false);
    let offset = call.u64("offset")?.unwrap_or(0);
    Ok(Query::List {
        hashes,
        offset: usize::try_from(offset).unwrap_or(usize::MAX),
    })
}

fn depth_query(call: &Call<'_>) -> Result<Query, ControlError> {
    let symbol = call.str("symbol")?;
    let symbol = symbol.ok_or_else(|| {
        ControlError::invalid_args("book.depth: argument symbol is missing; book.list names them")
    })?;
    let levels = call.u64("levels")?.unwrap_or(10);
    if !(1..=LEVELS_LIMIT).contains(&levels) {
        let text = format!("book.depth: argument levels is {levels}, wanted 1 to {LEVELS_LIMIT}");
        return Err(ControlError::invalid_args(text));
    }
    let kind = match call.str("kind")? {
        None => None,
        Some(name) => Some(DepthKind::named(name).ok_or_else(|| {
            let text =
                format!("book.depth: argument kind is {name:?}, wanted order, price or implied");
            ControlError::invalid_args(text)
        })?),
    };
    Ok(Query::Depth {
        symbol: symbol.to_owned(),
        kind,
        levels: levels as usize,
    })
}

fn ask(
    queue: &SyncSender<Request>,
    query: Query,
    timeout: Duration,
) -> Result<Value, ControlError> {
    let (reply, answer) = sync_channel(1);
    queue
        .try_send(Request { query, reply })
        .map_err(|error| match error {
            TrySendError::Full(_) => ControlError::new(
                "RESOURCE_EXHAUSTED",
                format!("{QUEUE} queries are waiting already; try again later"),
            ),
            TrySendError::Disconnected(_) => stopped(),
        })?;
    let answer = answer.recv_timeout(timeout).map_err(|error| match error {
        RecvTimeoutError::Timeout => ControlError::new(
            "DEADLINE_EXCEEDED",
            format!(
                "no answer within {} ms; the worker is busy catching up",
                timeout.as_millis()
            ),
        ),
        RecvTimeoutError::Disconnected => stopped(),
    })??;
    serde_json::to_value(answer)
        .map_err(|error| ControlError::new("INTERNAL", format!("answer as JSON: {error}")))
}

fn stopped() -> ControlError {
    ControlError::new(
        "WRONG_STATE",
        "the worker is stopping; ask its next incarnation",
    )
}
