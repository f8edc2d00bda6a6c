use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{AcqRel, Relaxed, Release};

use crate::layout::{
    AT_COMMAND_GENERATION, AT_EXIT, AT_EXIT_CODE, AT_EXIT_LOCATION, AT_EXIT_MESSAGE,
    AT_EXIT_MONO_NS, AT_HEARTBEAT_MONO_NS, AT_LAST_PACKET_MONO_NS, AT_PROGRESS, AT_STATE,
    AT_STATE_SINCE_NS, EXIT_LOCATION_LEN, EXIT_MESSAGE_LEN, ExitReason, State,
};

/// The signs of life in the file's header. Clones share it; each word has one writing thread:
/// the control thread the heartbeat, state and generation, the hot thread progress and last packet.
#[derive(Clone)]
pub struct Header {
    words: &'static [AtomicU64],
    exit_taken: Arc<AtomicU64>,
}

impl Header {
    /// The control thread lives; CLOCK_MONOTONIC ns.
    pub fn heartbeat(&self, mono_ns: u64) {
        self.word(AT_HEARTBEAT_MONO_NS).store(mono_ns, Relaxed);
    }

    /// The hot loop made a pass, with packets or without.
    #[inline]
    pub fn progress(&self) {
        let word = self.word(AT_PROGRESS);
        word.store(word.load(Relaxed).wrapping_add(1), Relaxed);
    }

    /// A packet came; CLOCK_MONOTONIC ns, once per batch is enough.
    #[inline]
    pub fn last_packet(&self, mono_ns: u64) {
        self.word(AT_LAST_PACKET_MONO_NS).store(mono_ns, Relaxed);
    }

    /// Enters a state; its time is taken here.
    pub fn set_state(&self, state: State) {
        self.set_sub_state(state, 0);
    }

    /// Enters a state with a detail whose codes are the worker's own.
    pub fn set_sub_state(&self, state: State, sub_state: u32) {
        let both = u64::from(state as u32) | u64::from(sub_state) << 32;
        self.word(AT_STATE_SINCE_NS).store(monotonic_ns(), Relaxed);
        self.word(AT_STATE).store(both, Release);
    }

    /// The effect of control command number `generation` is visible in the numbers.
    pub fn set_command_generation(&self, generation: u64) {
        self.word(AT_COMMAND_GENERATION).store(generation, Release);
    }

    /// Leaves the last words of the worker. The first call wins, so that a panic is not covered by
    /// the orderly exit that follows it; returns whether this was it.
    pub fn exit(&self, reason: ExitReason, code: i32, message: &str) -> bool {
        self.exit_at(reason, code, 0, message, "")
    }

    /// As [`Header::exit`], with the signal (0: none) and the place in the source.
    pub fn exit_at(
        &self,
        reason: ExitReason,
        code: i32,
        signal: u32,
        message: &str,
        location: &str,
    ) -> bool {
        if self.exit_taken.swap(1, AcqRel) != 0 {
            return false;
        }
        let code_and_signal = u64::from(code.cast_unsigned()) | u64::from(signal) << 32;
        self.word(AT_EXIT_CODE).store(code_and_signal, Relaxed);
        self.word(AT_EXIT_MONO_NS).store(monotonic_ns(), Relaxed);
        self.text(AT_EXIT_MESSAGE, EXIT_MESSAGE_LEN, message);
        self.text(AT_EXIT_LOCATION, EXIT_LOCATION_LEN, location);
        self.word(AT_EXIT)
            .store(1 | u64::from(reason as u32) << 32, Release);
        true
    }

    pub(crate) fn new(words: &'static [AtomicU64]) -> Self {
        Self {
            words,
            exit_taken: Arc::default(),
        }
    }

    fn word(&self, offset: usize) -> &'static AtomicU64 {
        &self.words[offset / 8]
    }

    /// Stores as much of `text` as fits, cut between characters, without allocation: it is also
    /// called from the panic hook.
    fn text(&self, offset: usize, capacity: usize, text: &str) {
        let bytes = &text.as_bytes()[..text.floor_char_boundary(capacity)];
        for (index, word) in self.words[offset / 8..][..capacity / 8].iter().enumerate() {
            let rest = bytes.get(index * 8..).unwrap_or_default();
            let mut buffer = [0; 8];
            let count = rest.len().min(8);
            buffer[..count].copy_from_slice(&rest[..count]);
            word.store(u64::from_le_bytes(buffer), Relaxed);
        }
    }
}

/// CLOCK_MONOTONIC in nanoseconds.
pub(crate) fn monotonic_ns() -> u64 {
    nanoseconds(rustix::time::clock_gettime(
        rustix::time::ClockId::Monotonic,
    ))
}

/// CLOCK_REALTIME in nanoseconds since 1970 UTC.
pub(crate) fn realtime_ns() -> u64 {
    nanoseconds(rustix::time::clock_gettime(rustix::time::ClockId::Realtime))
}

fn nanoseconds(time: rustix::time::Timespec) -> u64 {
    time.tv_sec.cast_unsigned() * 1_000_000_000 + time.tv_nsec.cast_unsigned()
}
