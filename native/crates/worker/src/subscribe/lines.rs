//! Records on standard output, one line each.

use std::io::{self, BufWriter, Stdout, Write as _};

use serde_json::json;
use tickdeck_export::message::GapReason;
use tickdeck_export::subscriber::BlockHead;
use tickdeck_journal::{Codec, Decompressor, unpack};

use crate::exit::Failure;
use crate::journal::record_line;

/// Bytes of a block header.
const HEADER_LEN: usize = 72;

/// Prints what comes, until enough came or nobody reads any more.
#[derive(Debug)]
pub(super) struct Lines {
    out: BufWriter<Stdout>,
    json: bool,
    /// Records still wanted.
    left: Option<u64>,
    decompressor: Decompressor,
    raw: Vec<u8>,
}

/// What is to happen after some lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Go on.
    More,
    /// As many as were wanted came; up to this sequence they did.
    Enough(u64),
    /// Nobody reads any more.
    Gone,
}

impl Lines {
    pub(super) fn new(json: bool, left: Option<u64>) -> Self {
        Self {
            out: BufWriter::new(io::stdout()),
            json,
            left,
            decompressor: Decompressor::default(),
            raw: Vec::new(),
        }
    }

    /// Prints the records of a block from `from_seq` on.
    pub(super) fn block(&mut self, from_seq: u64, block: &[u8]) -> Result<Next, Failure> {
        let head = BlockHead::parse(block).map_err(Failure::failed)?;
        let bad = |problem: String| Failure::failed(format!("block {}: {problem}", head.base_seq));
        let codec = Codec::from_code(head.codec)
            .ok_or_else(|| bad(format!("codec {} is not known", head.codec)))?;
        let stored = &block[HEADER_LEN..];
        self.decompressor
            .decompress(codec, stored, head.raw_len as usize, &mut self.raw)
            .map_err(bad)?;
        let (entries, _) = unpack(head.base_seq, head.count, &self.raw).map_err(bad)?;
        for entry in entries.iter().filter(|entry| entry.seq >= from_seq) {
            let line = record_line(entry, self.json);
            if let Err(error) = writeln!(self.out, "{line}") {
                return gone(error);
            }
            if let Some(left) = &mut self.left {
                *left = left.saturating_sub(1);
                if *left == 0 {
                    return Ok(Next::Enough(entry.seq));
                }
            }
        }
        Ok(Next::More)
    }

    /// Prints sequences that will not come.
    pub(super) fn gap(&mut self, from: u64, to: u64, reason: GapReason) -> Result<Next, Failure> {
        let reason = reason.name();
        self.note(
            &json!({"gap": {"from": from, "to": to, "reason": reason}}),
            &format!("gap from={from} to={to} reason={reason}"),
        )
    }

    /// Prints that what came from `at` on was taken back.
    pub(super) fn forked(&mut self, at: u64) -> Result<Next, Failure> {
        self.note(&json!({"forked_at": at}), &format!("forked at={at}"))
    }

    /// Gives the lines to who reads them.
    pub(super) fn flush(&mut self) -> Result<Next, Failure> {
        match self.out.flush() {
            Ok(()) => Ok(Next::More),
            Err(error) => gone(error),
        }
    }

    fn note(&mut self, value: &serde_json::Value, text: &str) -> Result<Next, Failure> {
        let written = if self.json {
            writeln!(self.out, "{value}")
        } else {
            writeln!(self.out, "{text}")
        };
        written.map_or_else(gone, |()| Ok(Next::More))
    }
}

fn gone(error: io::Error) -> Result<Next, Failure> {
    if error.kind() == io::ErrorKind::BrokenPipe {
        Ok(Next::Gone)
    } else {
        Err(Failure::failed(format!("standard output: {error}")))
    }
}
