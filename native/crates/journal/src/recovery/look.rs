//! How a log is looked at before it is written, and who is told how far that has come.

use std::io;

use crate::directory::{Listing, SegmentEntry};
use crate::scan::{Block, Source};
use crate::verify::{PROGRESS_STEP, Progress};
use crate::walk::{Walk, walk};

/// How much is read to find the first bad place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    /// Headers, seals and what was left unsealed: cost is per segment.
    Edges,
    /// Every byte.
    All,
}

/// How far a repair has come. It looks at a log once to tell what it would do, and again under its
/// locks before it does it; each look begins at zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RepairProgress {
    /// Number of the look, from 1 on.
    pub look: u64,
    /// How far it has come; it ends early at the first bad place.
    pub progress: Progress,
}

/// Reads segments for somebody who may be watching.
pub(crate) struct Look<'a> {
    depth: Depth,
    watch: Option<&'a mut dyn FnMut(RepairProgress)>,
    at: RepairProgress,
}

impl<'a> Look<'a> {
    /// Of a writer that opens its log; nobody watches.
    pub(crate) fn at_edges() -> Self {
        Self {
            depth: Depth::Edges,
            watch: None,
            at: RepairProgress::default(),
        }
    }

    pub(crate) fn watched(depth: Depth, watch: &'a mut dyn FnMut(RepairProgress)) -> Self {
        Self {
            depth,
            watch: Some(watch),
            at: RepairProgress::default(),
        }
    }

    pub(crate) fn is_deep(&self) -> bool {
        self.depth == Depth::All
    }

    /// A new look at a log; at its edges only the last segment may have to be read.
    pub(crate) fn begin(&mut self, listing: &Listing) {
        let skipped = match self.depth {
            Depth::Edges => listing.segments.len().saturating_sub(1),
            Depth::All => 0,
        };
        self.begin_with(&listing.segments[skipped..]);
    }

    /// A new look at some segments.
    pub(crate) fn begin_with(&mut self, segments: &[SegmentEntry]) {
        self.at = RepairProgress {
            look: self.at.look + 1,
            progress: Progress {
                segments: segments.len() as u64,
                bytes: segments.iter().map(|entry| entry.len).sum(),
                ..Progress::default()
            },
        };
    }

    /// Walks a segment and tells how far it has come, at least once per MiB and at the end.
    pub(crate) fn walk(
        &mut self,
        entry: &SegmentEntry,
        visit: &mut dyn FnMut(&Source, &Block),
    ) -> io::Result<Walk> {
        let before = self.at.progress.bytes_done;
        let walk = walk(entry, &mut |source, block| {
            visit(source, block);
            if before + block.end() >= self.at.progress.bytes_done + PROGRESS_STEP {
                self.reach(before + block.end());
            }
        })?;
        self.at.progress.segments_done += 1;
        self.reach(before + entry.len);
        Ok(walk)
    }

    /// What is read twice in one look counts once.
    fn reach(&mut self, bytes: u64) {
        let progress = &mut self.at.progress;
        progress.bytes_done = bytes.min(progress.bytes);
        progress.segments_done = progress.segments_done.min(progress.segments);
        if let Some(watch) = &mut self.watch {
            watch(self.at);
        }
    }
}
