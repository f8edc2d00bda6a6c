//! What an arbiter is told at construction.

use thiserror::Error;
use tickdeck_wire::moldudp64::Session;

/// Most lines of one arbiter: each has a bit in [`crate::Event::GapFilled`].
pub const MAX_LINES: usize = 7;

/// Limits and timing of an arbiter. Everything it ever needs is allocated from this.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Number of redundant lines, 1 to [`MAX_LINES`].
    pub lines: usize,
    /// The longest that a hole waits for another line before it is asked for.
    pub reorder_window_ns: u64,
    /// The shortest; between the two the wait follows the lag of the slower line.
    pub reorder_window_min_ns: u64,
    /// Packets from beyond a hole that end its waiting, when every line that keeps up has brought
    /// so many; 0: only time ends it.
    pub reorder_window_packets: usize,
    /// How long a line may be silent, or hang behind, and still count as alive.
    pub line_silence_ns: u64,
    /// Bytes of accepted packets that are kept to compare copies with, rounded up to a power of
    /// two; 0: none are compared.
    pub compare_bytes: usize,
    /// Packets held behind a hole.
    pub hold_capacity_packets: usize,
    /// Longest packet that can be held; a longer one counts as not fitting.
    pub max_packet_bytes: usize,
    /// Gaps open at a time.
    pub gap_capacity: usize,
    /// Silence of the current session after which another one takes over.
    pub session_takeover_ns: u64,
    /// How far ahead of everything known a line packet may be and be believed on its own. One
    /// further ahead is refused until a second packet agrees with it.
    pub max_jump_messages: u64,
    /// Where the output begins.
    pub start: Start,
}

/// Where the output begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// At the first packet seen; what was before is not missed.
    FirstSeen,
    /// At sequence 1 of the first session seen.
    SessionStart,
    /// Where an earlier run ended. A session that came meanwhile begins at sequence 1.
    Resume {
        /// The session of the earlier run.
        session: Session,
        /// The sequence number it would have delivered next.
        next_sequence: u64,
    },
}

/// Why a [`Config`] cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ConfigError {
    /// The number of lines is out of range.
    #[error("{lines} lines; an arbiter takes 1 to {MAX_LINES}")]
    Lines {
        /// What was asked for.
        lines: usize,
    },
    /// A limit that must be at least 1 is 0, or one is beyond 32 bits.
    #[error("{name} is {value}; it must be 1 to {}", u32::MAX)]
    Limit {
        /// Name of the field.
        name: &'static str,
        /// What was asked for.
        value: usize,
    },
    /// A limit is larger than makes sense.
    #[error("{name} is {value}; it must be at most {most}")]
    TooLarge {
        /// Name of the field.
        name: &'static str,
        /// What was asked for.
        value: usize,
        /// The largest that is taken.
        most: usize,
    },
    /// The bounds of the reorder window are in the wrong order.
    #[error(
        "reorder_window_min_ns is {min_ns} and reorder_window_ns {max_ns}; \
         the first must not be above the second"
    )]
    Window {
        /// The lower bound.
        min_ns: u64,
        /// The upper bound.
        max_ns: u64,
    },
    /// A session counts from 1.
    #[error("resume at sequence 0; a session counts from 1")]
    ResumeAtZero,
}

impl Default for Config {
    /// Two lines, 0.1 to 2 ms or 16 packets of reorder window, 3 s of silence until a line is
    /// dead or a session is taken over, 512 KiB to compare copies with, 1,024 held packets,
    /// 1,000,000 messages of jump.
    fn default() -> Self {
        Self {
            lines: 2,
            reorder_window_ns: 2_000_000,
            reorder_window_min_ns: 100_000,
            reorder_window_packets: 16,
            line_silence_ns: 3_000_000_000,
            compare_bytes: 1 << 19,
            hold_capacity_packets: 1024,
            max_packet_bytes: 2048,
            gap_capacity: 256,
            session_takeover_ns: 3_000_000_000,
            max_jump_messages: 1_000_000,
            start: Start::FirstSeen,
        }
    }
}

impl Config {
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        if !(1..=MAX_LINES).contains(&self.lines) {
            return Err(ConfigError::Lines { lines: self.lines });
        }
        for (name, value) in [
            ("hold_capacity_packets", self.hold_capacity_packets),
            ("max_packet_bytes", self.max_packet_bytes),
            ("gap_capacity", self.gap_capacity),
        ] {
            if value == 0 || u32::try_from(value).is_err() {
                return Err(ConfigError::Limit { name, value });
            }
        }
        for (name, value, most) in [
            (
                "reorder_window_packets",
                self.reorder_window_packets,
                1 << 16,
            ),
            ("compare_bytes", self.compare_bytes, 1 << 32),
        ] {
            if value > most {
                return Err(ConfigError::TooLarge { name, value, most });
            }
        }
        if self.reorder_window_min_ns > self.reorder_window_ns {
            return Err(ConfigError::Window {
                min_ns: self.reorder_window_min_ns,
                max_ns: self.reorder_window_ns,
            });
        }
        match self.start {
            Start::Resume {
                next_sequence: 0, ..
            } => Err(ConfigError::ResumeAtZero),
            _ => Ok(()),
        }
    }
}
