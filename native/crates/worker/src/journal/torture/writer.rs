//! The writer that is killed: `tickdeck-journal torture-writer`, in a process of its own.
//!
//! What it does follows from the seed and its epoch; time is counted by steps, so that the same
//! life makes the same system calls. It prints `open`, then `acked` with each advance, `done` when it has
//! closed its journal, `failed` when it cannot go on.

use std::io::{self, Stdout, Write as _};
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use tickdeck_journal::{JournalError, Writer};

use super::child::Claim;
use super::content::{self, Content, HOLE_REASON, content};
use super::random::{Random, mix};
use super::setting::LogSetting;
use super::{Codec, Policy};
use crate::exit::{Code, Failure};
use crate::journal::journal_failure;

/// Arguments of `torture-writer`.
#[derive(Args, Clone, Debug)]
pub(in super::super) struct WriterArgs {
    #[arg(long)]
    dir: PathBuf,
    #[arg(long)]
    seed: u64,
    #[arg(long, value_enum)]
    policy: Policy,
    #[arg(long, value_enum)]
    codec: Codec,
    #[arg(long)]
    segment_bytes: u64,
    #[arg(long, value_enum)]
    claim: Claim,
    /// Close the journal and end after so many records; by default idle after some until killed.
    #[arg(long)]
    records: Option<u64>,
}

impl WriterArgs {
    /// The command line for a log.
    pub(super) fn of(log: &LogSetting, records: Option<u64>) -> Vec<String> {
        use clap::ValueEnum as _;
        let name = |value: Option<clap::builder::PossibleValue>| {
            value.expect("no value is hidden").get_name().to_owned()
        };
        let mut args = vec![
            "torture-writer".to_owned(),
            format!("--dir={}", log.dir.display()),
            format!("--seed={}", log.seed),
            format!("--policy={}", name(log.policy.to_possible_value())),
            format!("--codec={}", name(log.codec.to_possible_value())),
            format!("--segment-bytes={}", log.segment_bytes),
            format!("--claim={}", name(log.claim.to_possible_value())),
        ];
        args.extend(records.map(|records| format!("--records={records}")));
        args
    }

    fn log(&self) -> LogSetting {
        LogSetting {
            dir: self.dir.clone(),
            seed: self.seed,
            policy: self.policy,
            codec: self.codec,
            segment_bytes: self.segment_bytes,
            claim: self.claim,
        }
    }
}

/// Appends until it is killed, or so many records. A failure is told through the pipe.
pub(in super::super) fn run(args: &WriterArgs) -> Result<Code, Failure> {
    live(args).or_else(|failure| {
        writeln!(io::stdout(), "failed {failure}").map_err(pipe_failure)?;
        Ok(failure.code)
    })
}

fn live(args: &WriterArgs) -> Result<Code, Failure> {
    let begin = Instant::now();
    let opened = Writer::open(args.log().writer());
    let (writer, report) = opened.map_err(|error| journal_failure(&error))?;
    let mut life = Life {
        random: Random::new(mix(args.seed, report.writer_epoch)),
        seed: args.seed,
        claim: args.claim,
        out: io::stdout(),
        acked: report.next_seq - 1,
        now_ns: 0,
        writer,
    };
    life.print(&format!(
        "open {} {} {} {} {}",
        report.next_seq,
        report.writer_epoch,
        begin.elapsed().as_micros(),
        report.problems.len(),
        u8::from(report.created),
    ))?;
    let records = args.records.unwrap_or(1 + life.random.below(4000));
    life.write(records)?;
    if args.records.is_some() {
        return life.close();
    }
    life.idle()
}

struct Life {
    random: Random,
    seed: u64,
    claim: Claim,
    out: Stdout,
    acked: u64,
    now_ns: u64,
    writer: Writer,
}

impl Life {
    fn write(&mut self, records: u64) -> Result<(), Failure> {
        let mut left = records;
        while left > 0 {
            for _ in 0..left.min(1 + self.random.below(32)) {
                left -= 1;
                self.append().map_err(|error| journal_failure(&error))?;
                self.report()?;
            }
            self.step().map_err(|error| journal_failure(&error))?;
            self.report()?;
        }
        Ok(())
    }

    fn append(&mut self) -> Result<(), JournalError> {
        let seq = self.writer.next_seq();
        match content(self.seed, seq) {
            Content::Hole(count) => self.writer.append_hole(seq, seq + count - 1, HOLE_REASON)?,
            Content::Record(payload) => {
                let epoch = self.writer.writer_epoch();
                let record = content::record(self.seed, seq, epoch, &payload);
                self.writer.append(&record)?
            }
        };
        Ok(())
    }

    /// One operation between two bursts.
    fn step(&mut self) -> Result<(), JournalError> {
        match self.random.below(20) {
            0..13 => {
                self.now_ns += self.random.below(3_000_000);
                self.writer.poll(self.now_ns).map(|_| ())
            }
            13..16 => self.writer.flush(),
            16..19 => self.writer.sync(),
            _ => self.writer.seal(),
        }
    }

    /// Tells how much is safe, when that has changed.
    fn report(&mut self) -> Result<(), Failure> {
        let marks = self.writer.watermarks();
        let safe = match self.claim {
            Claim::Durable => marks.durable,
            Claim::Written => marks.written,
            Claim::Appended => marks.appended,
        };
        if safe == self.acked {
            return Ok(());
        }
        self.acked = safe;
        self.print(&format!("acked {safe}"))
    }

    /// A feed that is silent, until the kill; nobody waits for ever.
    fn idle(mut self) -> Result<Code, Failure> {
        let begin = Instant::now();
        while begin.elapsed() < LONGEST_LIFE {
            self.now_ns += 1_000_000;
            let polled = self.writer.poll(self.now_ns);
            polled.map_err(|error| journal_failure(&error))?;
            self.report()?;
            thread::sleep(Duration::from_millis(1));
        }
        Err(Failure::failed("torture-writer: nobody killed it"))
    }

    fn close(mut self) -> Result<Code, Failure> {
        let last_seq = self.writer.next_seq() - 1;
        let closed = self.writer.close();
        closed.map_err(|error| journal_failure(&error))?;
        writeln!(self.out, "acked {last_seq}\ndone").map_err(pipe_failure)?;
        Ok(Code::Clean)
    }

    fn print(&mut self, line: &str) -> Result<(), Failure> {
        writeln!(self.out, "{line}").map_err(pipe_failure)
    }
}

fn pipe_failure(error: io::Error) -> Failure {
    Failure::failed(format!("torture-writer: standard output: {error}"))
}

const LONGEST_LIFE: Duration = Duration::from_secs(60);
