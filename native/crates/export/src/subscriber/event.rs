//! What a session tells its caller.

use super::{BadBlock, Position};
use crate::frame::FrameError;
use crate::message::{ErrorCode, GapReason, GoodbyeReason, Heartbeat, MessageError, SubOk};

/// Something for the caller to do or to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The provider agreed; data follows.
    Subscribed(SubOk),
    /// Records. Those below `from_seq` are in the copy already.
    Block {
        /// First sequence that is new.
        from_seq: u64,
        /// The block as the journal stores it, without padding; whole by its checksums.
        block: Vec<u8>,
    },
    /// Sequences that will not come.
    Gap {
        /// First.
        from: u64,
        /// Last.
        to: u64,
        /// Why.
        reason: GapReason,
    },
    /// Where the log stands.
    Heartbeat(Heartbeat),
    /// Make everything so far durable, store this with it, then call
    /// [`Session::stored`](super::Session::stored).
    Store(Position),
    /// The session is over: send what is left to send, close.
    Ended(End),
}

/// Why a session is over, and so what comes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The copy has sequences that the log does not: cut it from `at` on, store `position`, raise an
    /// alarm, connect again.
    Forked {
        /// First sequence to cut.
        at: u64,
        /// The position of the copy once it is cut.
        position: Position,
    },
    /// What was asked for is gone. Declare the gap up to `position`, store that, connect again.
    Pruned {
        /// First sequence that will not come.
        from: u64,
        /// The position behind the gap.
        position: Position,
    },
    /// The copy is one of another log: a matter for people.
    WrongLog {
        /// The provider's log.
        log_id: [u8; 16],
    },
    /// The provider, proved or of a transport that proves it, does not let us in, or we do not trust
    /// it: a matter for people where we dialled it, for the next one where it dialled us.
    Denied(String),
    /// The provider refused for another reason, or left; try again later.
    Refused {
        /// Its code.
        code: ErrorCode,
        /// Its words.
        text: String,
    },
    /// The provider said goodbye; try again later.
    Goodbye {
        /// Its reason.
        reason: GoodbyeReason,
        /// Its words.
        text: String,
    },
    /// Nothing was heard for so long, ms; try again.
    Silent(u64),
    /// Bytes that are no frame; try again.
    BadFrame(FrameError),
    /// A frame that is no message; try again.
    BadMessage(MessageError),
    /// A block that is damaged; try again.
    BadBlock(BadBlock),
    /// The provider broke the protocol; try again.
    Violation(String),
}
