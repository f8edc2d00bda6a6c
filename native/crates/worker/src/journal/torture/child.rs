//! A writer process and what it says.

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use clap::ValueEnum;

use super::setting::LogSetting;
use super::writer::WriterArgs;
use crate::exit::Failure;

/// What a writer reports as safe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Claim {
    /// What its journal calls durable.
    Durable,
    /// What was handed to the kernel: a kill must not lose it, a power cut may.
    Written,
    /// What was only appended: either may lose it.
    Appended,
}

/// One line of a writer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Event {
    /// It has opened its journal.
    Open(Opening),
    /// Everything up to this sequence is safe.
    Acked(u64),
    /// It has closed its journal.
    Done,
    /// It cannot go on.
    Failed(String),
}

/// What opening the journal found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Opening {
    pub(super) next_seq: u64,
    pub(super) epoch: u64,
    pub(super) took_us: u64,
    /// Torn tails cut: 0 or 1.
    pub(super) torn_tails: u64,
    pub(super) created: bool,
}

/// A running writer.
#[derive(Debug)]
pub(super) struct WriterProcess {
    child: Child,
    events: Receiver<Event>,
    listener: JoinHandle<()>,
}

impl WriterProcess {
    /// Starts a writer on a log. `before` stands before the command line: a tracer.
    pub(super) fn start(
        log: &LogSetting,
        records: Option<u64>,
        before: &[String],
    ) -> Result<Self, Failure> {
        let failed = |error| Failure::failed(format!("cannot start a writer: {error}"));
        let exe = std::env::current_exe().map_err(failed)?;
        let mut command = match before {
            [] => Command::new(exe),
            [tracer, options @ ..] => {
                let mut command = Command::new(tracer);
                command.args(options).arg(exe);
                command
            }
        };
        let mut child = command
            .args(WriterArgs::of(log, records))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let lines = BufReader::new(child.stdout.take().expect("is piped")).lines();
        let (sender, events) = channel();
        // A line cut short by the death of the writer was not said.
        let listener = thread::spawn(move || {
            for event in lines.map_while(Result::ok).map_while(|line| parse(&line)) {
                if sender.send(event).is_err() {
                    break;
                }
            }
        });
        Ok(Self {
            child,
            events,
            listener,
        })
    }

    /// Listens until `deadline`, or, without one, for one event; false when the writer has ended.
    pub(super) fn listen(&self, deadline: Option<Instant>, heard: &mut Vec<Event>) -> bool {
        let Some(deadline) = deadline else {
            return self.events.recv().is_ok_and(|event| {
                heard.push(event);
                true
            });
        };
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.events.recv_timeout(left) {
                Ok(event) => heard.push(event),
                Err(RecvTimeoutError::Timeout) => return true,
                Err(RecvTimeoutError::Disconnected) => return false,
            }
        }
    }

    /// Kills it with SIGKILL and hears what it had said by then.
    pub(super) fn kill(mut self, heard: &mut Vec<Event>) -> Result<ExitStatus, Failure> {
        let killed = self.child.kill();
        killed.map_err(|error| Failure::failed(format!("cannot kill the writer: {error}")))?;
        self.end(heard)
    }

    /// Waits for its end and hears what it said.
    pub(super) fn end(mut self, heard: &mut Vec<Event>) -> Result<ExitStatus, Failure> {
        heard.extend(self.events.iter());
        let status = self.child.wait();
        let status = status
            .map_err(|error| Failure::failed(format!("cannot wait for the writer: {error}")))?;
        self.listener
            .join()
            .expect("the listener only parses lines");
        Ok(status)
    }
}

/// Why a writer that ought to live does not.
pub(super) fn reason(heard: &[Event], status: ExitStatus) -> String {
    let failed = |event: &Event| match event {
        Event::Failed(text) => Some(text.clone()),
        _ => None,
    };
    let said = heard.iter().find_map(failed);
    said.unwrap_or_else(|| format!("the writer ended without a word, {status}"))
}

/// True for a death by SIGKILL.
pub(super) fn was_killed(status: ExitStatus) -> bool {
    status.signal() == Some(9)
}

fn parse(line: &str) -> Option<Event> {
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    let mut words = rest.split(' ');
    let mut number = || words.next()?.parse::<u64>().ok();
    match word {
        "open" => Some(Event::Open(Opening {
            next_seq: number()?,
            epoch: number()?,
            took_us: number()?,
            torn_tails: number()?,
            created: number()? == 1,
        })),
        "acked" => Some(Event::Acked(number()?)),
        "done" => Some(Event::Done),
        "failed" => Some(Event::Failed(rest.to_owned())),
        _ => None,
    }
}
