//! A log under torture: what it must hold, and whether it does.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Instant;

use tickdeck_journal::kind::{self, JournalHole};
use tickdeck_journal::{Entry, JournalError, Reader, Writer, verify};

use super::child::{Event, Opening};
use super::content::{Content, HOLE_REASON, content, record};
use super::setting::LogSetting;
use super::tally::Tally;
use crate::exit::Failure;
use crate::journal::{chain, journal_failure};

/// A log and what is known of it.
#[derive(Debug)]
pub(super) struct Trial {
    pub(super) log: LogSetting,
    /// Outside the log: what was reported safe, on the device before anybody looks.
    oracle: File,
    oracle_path: PathBuf,
    /// Highest sequence reported safe.
    acked: u64,
    /// First sequence of each epoch that was heard of.
    epochs: Vec<(u64, u64)>,
    /// The last epoch that is certain.
    epoch: u64,
    /// Writers since then that were ended before they could say that they had opened the log.
    silent: u64,
    /// Last sequence that was readable after the last cut.
    readable: u64,
    /// Records from here on are read again after the next cut: each one is read before and after
    /// the recovery that follows it.
    read_from: u64,
}

impl Trial {
    /// A log that does not exist yet, with an oracle beside it in `home`.
    pub(super) fn new(log: LogSetting, home: &Path) -> Result<Self, Failure> {
        fs::create_dir_all(home).map_err(|error| cannot("create", home, &error))?;
        let name = log.dir.file_name().unwrap_or_default().to_string_lossy();
        let oracle_path = home.join(format!("oracle-of-{name}"));
        let mut options = OpenOptions::new();
        let oracle = options.create_new(true).append(true).open(&oracle_path);
        Ok(Self {
            log,
            oracle: oracle.map_err(|error| cannot("create", &oracle_path, &error))?,
            oracle_path,
            acked: 0,
            epochs: Vec::new(),
            epoch: 0,
            silent: 0,
            readable: 0,
            read_from: 1,
        })
    }

    /// Takes in what a writer said before it was ended, and what it said too `late` to count: that
    /// it had opened the log may be of use, that something was safe is not.
    pub(super) fn heard(
        &mut self,
        events: &[Event],
        late: &[Event],
        tally: &mut Tally,
    ) -> Result<(), Failure> {
        let before = self.acked;
        let mut opened = false;
        for event in events {
            match *event {
                Event::Open(opening) => {
                    opened = true;
                    self.opened(&opening, tally);
                }
                Event::Acked(seq) if seq >= self.acked => self.acked = seq,
                Event::Acked(seq) => {
                    tally.fail(self.text(&format!("{seq} was reported safe after {}", self.acked)))
                }
                Event::Done | Event::Failed(_) => {}
            }
        }
        if !opened {
            self.silent += 1;
            tally.cuts_while_opening += 1;
        }
        for event in late {
            if let Event::Open(opening) = event {
                self.began(opening);
            }
        }
        tally.acked += self.acked - before;
        writeln!(self.oracle, "{}", self.acked)
            .and_then(|()| self.oracle.sync_data())
            .map_err(|error| Failure::failed(format!("cannot write the oracle: {error}")))
    }

    /// Reads what can be read after the cut, before any recovery.
    pub(super) fn check(&mut self, tally: &mut Tally) -> Result<(), Failure> {
        let read = self.read(self.read_from, tally)?;
        self.read_from = self.readable + 1;
        self.readable = read.last_seq;
        Ok(())
    }

    /// Opens the log once more in this process, closes it, reads and verifies all of it.
    pub(super) fn finish(&mut self, tally: &mut Tally) -> Result<(), Failure> {
        let begin = Instant::now();
        let opened = Writer::open(self.log.writer());
        let took_us = u64::try_from(begin.elapsed().as_micros()).unwrap_or(u64::MAX);
        let (mut writer, report) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                self.refused(&chain(&error), tally);
                return Ok(());
            }
        };
        self.opened(
            &Opening {
                next_seq: report.next_seq,
                epoch: report.writer_epoch,
                took_us,
                torn_tails: report.problems.len() as u64,
                created: report.created,
            },
            tally,
        );
        for _ in 0..3 {
            let seq = writer.next_seq();
            let Content::Record(payload) = content(self.log.seed, seq) else {
                break;
            };
            let record = record(self.log.seed, seq, report.writer_epoch, &payload);
            let appended = writer.append(&record);
            appended.map_err(|error| journal_failure(&error))?;
        }
        self.acked = writer.next_seq() - 1;
        writer.close().map_err(|error| journal_failure(&error))?;
        let read = self.read(1, tally)?;
        tally.records += read.records;
        let report = verify(&self.log.dir, &mut |_| {}).map_err(|error| journal_failure(&error))?;
        tally.segments += report.segments;
        if !report.is_whole() || report.records != read.records {
            tally.fail(self.text(&format!(
                "verify counts {} records of {} and says: {:?}",
                report.records, read.records, report.problems
            )));
        }
        Ok(())
    }

    /// A writer could not open the log.
    pub(super) fn refused(&self, reason: &str, tally: &mut Tally) {
        tally.refused += 1;
        tally.fail(self.text(&format!("cannot be opened again: {reason}")));
    }

    /// Bytes of the log's files.
    pub(super) fn bytes(&self) -> Result<u64, Failure> {
        let size = |dir: &Path| -> io::Result<u64> {
            fs::read_dir(dir)?.try_fold(0, |sum, entry| Ok(sum + entry?.metadata()?.len()))
        };
        match size(&self.log.dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            result => result.map_err(|error| cannot("list", &self.log.dir, &error)),
        }
    }

    /// Removes the log and its oracle.
    pub(super) fn remove(self) -> Result<(), Failure> {
        let (dir, oracle) = (&self.log.dir, &self.oracle_path);
        fs::remove_dir_all(dir).map_err(|error| cannot("remove", dir, &error))?;
        fs::remove_file(oracle).map_err(|error| cannot("remove", oracle, &error))
    }

    fn opened(&mut self, opening: &Opening, tally: &mut Tally) {
        let Opening {
            next_seq, epoch, ..
        } = *opening;
        if !opening.created {
            tally.recovery_us.push(opening.took_us);
        }
        tally.torn_tails += opening.torn_tails;
        if next_seq <= self.acked {
            tally.lost += self.acked + 1 - next_seq;
            tally.fail(self.text(&format!(
                "opens with next sequence {next_seq}, {} was reported safe",
                self.acked
            )));
        }
        if next_seq != self.readable + 1 {
            tally.fail(self.text(&format!(
                "opens with next sequence {next_seq}, readable was {}",
                self.readable
            )));
        }
        let least = self.epoch + 1;
        if !(least..=least + self.silent).contains(&epoch) {
            tally.fail(self.text(&format!("epoch {epoch} follows epoch {}", self.epoch)));
        }
        self.epoch = epoch;
        self.silent = 0;
        self.began(opening);
    }

    /// From here on records are of another epoch.
    fn began(&mut self, opening: &Opening) {
        let next_seq = opening.next_seq;
        self.epochs.retain(|&(first_seq, _)| first_seq < next_seq);
        self.epochs.push((next_seq, opening.epoch));
    }

    /// Reads from a sequence to the end and compares; what was acked and is not there is lost.
    fn read(&self, from: u64, tally: &mut Tally) -> Result<Read, Failure> {
        let mut read = Read {
            last_seq: from - 1,
            records: 0,
        };
        let end = self.walk(&mut read, tally);
        if read.last_seq < self.acked {
            tally.lost += self.acked - read.last_seq;
            let end = end
                .as_ref()
                .err()
                .map_or("end".into(), |error| chain(error));
            tally.fail(self.text(&format!(
                "readable up to {}, {} was reported safe: {end}",
                read.last_seq, self.acked
            )));
        }
        match end {
            Err(error @ JournalError::Io { .. }) => Err(journal_failure(&error)),
            _ => Ok(read),
        }
    }

    fn walk(&self, read: &mut Read, tally: &mut Tally) -> Result<(), JournalError> {
        let mut reader = Reader::open(&self.log.dir)?;
        if read.last_seq > 0 {
            reader.seek(read.last_seq + 1)?;
        }
        while let Some(entry) = reader.next()? {
            let next_seq = read.last_seq + 1;
            if entry.seq < next_seq {
                tally.duplicates += 1;
                tally.fail(self.text(&format!("{} comes after {}", entry.seq, read.last_seq)));
                continue;
            }
            if entry.seq > next_seq {
                tally.lost += (self.acked + 1).min(entry.seq).saturating_sub(next_seq);
                tally.fail(self.text(&format!("{next_seq} to {} are missing", entry.seq - 1)));
            }
            if !self.is_right(&entry) {
                tally.wrong += 1;
                tally.fail(self.text(&format!("another record stands at {}", entry.seq)));
            }
            read.last_seq = last_spent(&entry);
            read.records += 1;
        }
        Ok(())
    }

    fn is_right(&self, entry: &Entry<'_>) -> bool {
        match content(self.log.seed, entry.seq) {
            Content::Hole(count) => {
                let expected = JournalHole {
                    from: entry.seq,
                    to: entry.seq + count - 1,
                    reason: HOLE_REASON,
                };
                entry.record.kind == kind::JOURNAL_HOLE && entry.record.payload == expected.encode()
            }
            Content::Record(payload) => {
                let behind = self
                    .epochs
                    .partition_point(|&(first, _)| first <= entry.seq);
                let epoch = behind.checked_sub(1).map(|at| self.epochs[at].1);
                epoch.is_some_and(|epoch| {
                    entry.record == record(self.log.seed, entry.seq, epoch, &payload)
                })
            }
        }
    }

    fn text(&self, what: &str) -> String {
        format!("{}: {what}", self.log.dir.display())
    }
}

/// How far reading came.
#[derive(Debug, Clone, Copy)]
struct Read {
    last_seq: u64,
    records: u64,
}

fn last_spent(entry: &Entry<'_>) -> u64 {
    let hole = (entry.record.kind == kind::JOURNAL_HOLE)
        .then(|| JournalHole::decode(entry.record.payload))
        .flatten();
    hole.map_or(entry.seq, |hole| hole.to)
}

fn cannot(verb: &str, path: &Path, error: &io::Error) -> Failure {
    Failure::failed(format!("cannot {verb} {}: {error}", path.display()))
}
