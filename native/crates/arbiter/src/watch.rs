//! Which lines keep up, and since when one carries the stream alone.
//!
//! A line keeps up when it is heard and has come at least as far as some line had come a silence
//! time ago. So a line that is dead and one that hangs far behind look the same: it says nothing
//! that is not known. How far the lines have come is marked once per silence time; a line is
//! measured against the mark before, which is one to two silence times old.

use crate::config::MAX_LINES;

/// One line carries the stream, every other is silent or hangs behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alone {
    /// The line that goes on.
    pub line: u8,
    /// When another line kept up last, monotonic ns.
    pub since_ns: u64,
}

#[derive(Debug)]
pub(crate) struct Watch {
    lines: usize,
    silence_ns: u64,
    listening: bool,
    /// When the next mark is due.
    mark_due_ns: u64,
    /// How far the lines had come at the last mark.
    mark: u64,
    /// And at the one before.
    reached: u64,
    /// When each line kept up last.
    kept_up_ns: [u64; MAX_LINES],
}

impl Watch {
    pub(crate) fn new(lines: usize, silence_ns: u64) -> Self {
        Self {
            lines,
            silence_ns,
            listening: false,
            mark_due_ns: 0,
            mark: 0,
            reached: 0,
            kept_up_ns: [0; MAX_LINES],
        }
    }

    /// Another session counts from `start`.
    pub(crate) fn begin_session(&mut self, start: u64) {
        (self.mark, self.reached) = (start, 0);
    }

    /// A packet of a line came that ends at `end`; `shown` is how far the lines have come.
    #[inline]
    pub(crate) fn on_packet(&mut self, line: usize, end: u64, shown: u64, now_ns: u64) {
        if now_ns >= self.mark_due_ns {
            self.set_mark(shown, now_ns);
        }
        if end >= self.reached {
            self.kept_up_ns[line] = now_ns;
        }
    }

    /// Begins to listen, if that has not begun: the silence of a line counts from here.
    #[inline]
    pub(crate) fn listen(&mut self, now_ns: u64) {
        if !self.listening {
            self.listening = true;
            self.kept_up_ns = [now_ns; MAX_LINES];
            self.mark_due_ns = now_ns.saturating_add(self.silence_ns);
        }
    }

    /// Whether the line keeps up; one that was never heard does for a silence time.
    pub(crate) fn keeps_up(&self, line: usize, now_ns: u64) -> bool {
        now_ns.saturating_sub(self.kept_up_ns[line]) < self.silence_ns
    }

    pub(crate) fn alone(&self, now_ns: u64) -> Option<Alone> {
        let mut alive = (0..self.lines).filter(|line| self.keeps_up(*line, now_ns));
        let line = alive.next()?;
        if self.lines < 2 || alive.next().is_some() {
            return None;
        }
        let others = (0..self.lines).filter(|other| *other != line);
        let since_ns = others.map(|other| self.kept_up_ns[other]).max()?;
        Some(Alone {
            line: line as u8,
            since_ns,
        })
    }

    #[cold]
    fn set_mark(&mut self, shown: u64, now_ns: u64) {
        self.listen(now_ns);
        self.reached = self.mark;
        self.mark = shown;
        self.mark_due_ns = now_ns.saturating_add(self.silence_ns);
    }
}
