//! Progress of long work on standard error: one line on a terminal that is rewritten, or, when asked
//! for, a line a second.

use std::io::{self, IsTerminal, Write as _};
use std::time::{Duration, Instant};

use tickdeck_journal::VerifyProgress;

use crate::exit::Failure;

/// Shows how far something has come, where somebody watches.
pub(super) struct ProgressLine {
    /// `None` until something was shown.
    shown_at: Option<Instant>,
    is_shown: bool,
    is_terminal: bool,
    watched: bool,
}

impl ProgressLine {
    /// Watched on a terminal, and anywhere when `wanted`.
    pub(super) fn new(wanted: bool) -> Self {
        let is_terminal = io::stderr().is_terminal();
        Self {
            // A terminal stays quiet for what takes no time; who asked for progress gets a line at once.
            shown_at: is_terminal.then(Instant::now),
            is_shown: false,
            is_terminal,
            watched: is_terminal || wanted,
        }
    }

    /// Shows how far the reading of segments has come, with a remark.
    pub(super) fn segments(&mut self, at: &VerifyProgress, remark: &str) {
        let what = format!(
            "bytes, segment {} of {}{remark}",
            at.segments_done, at.segments
        );
        self.show(at.bytes_done, at.bytes, &what);
    }

    /// Shows `done` of `total`, not more often than the eye wants.
    pub(super) fn show(&mut self, done: u64, total: u64, what: &str) {
        let interval = if self.is_terminal { BLINK } else { SECOND };
        let is_early = |at: Instant| at.elapsed() < interval;
        if !self.watched || self.shown_at.is_some_and(is_early) {
            return;
        }
        self.shown_at = Some(Instant::now());
        let percent = (done * 100).checked_div(total).unwrap_or(100);
        let line = match self.is_terminal {
            true => format!("\r{percent:3} %  {done} of {total} {what} "),
            false => format!("{percent:3} %  {done} of {total} {what}\n"),
        };
        // Progress is a courtesy: whoever refuses it must not end the work.
        self.watched = io::stderr().write_all(line.as_bytes()).is_ok();
        self.is_shown = self.watched && self.is_terminal;
    }

    /// Leaves the line empty for the answer.
    pub(super) fn clear(&self) -> Result<(), Failure> {
        if self.is_shown {
            let clear = io::stderr().write_all(b"\r\x1b[K");
            clear.map_err(|error| Failure::failed(format!("standard error: {error}")))?;
        }
        Ok(())
    }
}

const BLINK: Duration = Duration::from_millis(100);
const SECOND: Duration = Duration::from_secs(1);
