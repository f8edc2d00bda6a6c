//! What is on the way: sent and not acknowledged.

use std::collections::VecDeque;

/// Frames in flight, bounded in bytes and in number.
#[derive(Clone, Debug)]
pub(super) struct Window {
    max_bytes: u64,
    bytes: u64,
    /// Last sequence and bytes of each frame.
    frames: VecDeque<(u64, u32)>,
}

impl Window {
    /// Most frames in flight, however small: bounds the memory of a session.
    const MAX_FRAMES: usize = 65_536;

    pub(super) fn new(max_bytes: u32) -> Self {
        Self {
            max_bytes: max_bytes.into(),
            bytes: 0,
            frames: VecDeque::new(),
        }
    }

    /// Whether a further frame may go. One always may when nothing is in flight, however long.
    pub(super) fn has_room(&self) -> bool {
        self.frames.is_empty()
            || (self.bytes < self.max_bytes && self.frames.len() < Self::MAX_FRAMES)
    }

    pub(super) fn sent(&mut self, last_seq: u64, len: usize) {
        // A frame is at most a little over 1 MiB.
        self.frames.push_back((last_seq, len as u32));
        self.bytes += len as u64;
    }

    /// Gives the bytes that an acknowledgement frees.
    pub(super) fn acked(&mut self, seq: u64) -> u64 {
        let mut freed = 0;
        while let Some((_, len)) = self.frames.pop_front_if(|(last_seq, _)| *last_seq <= seq) {
            freed += u64::from(len);
        }
        self.bytes -= freed;
        freed
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }
}
