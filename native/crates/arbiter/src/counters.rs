//! What an arbiter counts. Unless said otherwise the unit is a message.

/// Counters of an arbiter; they only grow, except where said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Messages delivered.
    pub delivered: u64,
    /// Messages from a line that were delivered or held already.
    pub duplicates: u64,
    /// Messages that were accepted before with other bytes; not counted as duplicates.
    pub conflicts: u64,
    /// Duplicates of lines that could not be compared: the accepted bytes are forgotten, or were
    /// cut into other packets.
    pub duplicates_uncompared: u64,
    /// Messages that came too late: given up, before the stream's start, or unneeded answers.
    pub stale: u64,
    /// Messages that did not fit behind a hole; they are asked for again as a later gap.
    pub hold_dropped: u64,
    /// Packets held now; goes up and down.
    pub held_packets: u64,
    /// Messages held now; goes up and down.
    pub held_messages: u64,
    /// New messages that answers brought, from whichever source.
    pub retransmitted: u64,
    /// Gaps opened.
    pub gaps_opened: u64,
    /// Gaps closed without a loss.
    pub gaps_filled: u64,
    /// Gaps closed with a loss.
    pub gaps_unrecovered: u64,
    /// Messages given up.
    pub messages_lost: u64,
    /// Packets of another session.
    pub wrong_session: u64,
    /// Packets too far ahead to be believed on their own.
    pub implausible_jumps: u64,
    /// Packets with a sequence number that no session reaches, or with 0.
    pub sequence_overflows: u64,
    /// Times that another session took over.
    pub session_changes: u64,
    /// Those of them that were neither announced nor due.
    pub session_changes_unexpected: u64,
    /// How long a hole waits for another line now, ns; goes up and down.
    pub reorder_window_ns: u64,
    /// One entry per line.
    pub lines: Vec<LineCounters>,
}

impl Counters {
    /// Messages that no line brought: an answer did, or they were given up.
    pub fn lost_on_all(&self) -> u64 {
        self.retransmitted.saturating_add(self.messages_lost)
    }
}

/// Counters of one line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LineCounters {
    /// Packets of the current session, heartbeats included.
    pub packets: u64,
    /// Messages in them, copies included.
    pub messages: u64,
    /// Messages of which this line's copy was the first to be taken.
    pub first: u64,
    /// Messages of this line that were accepted before with other bytes.
    pub conflicts: u64,
    /// Messages that this line skipped; goes down when one of them arrives late on it.
    pub lost: u64,
    /// The sequence number this line should show next; 0 before its first packet of a session.
    pub next_sequence: u64,
}
