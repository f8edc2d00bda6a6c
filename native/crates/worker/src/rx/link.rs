//! The queues between the receive thread and the recovery thread.
//!
//! Both directions are bounded single-producer single-consumer rings, so neither thread ever waits
//! for the other. Answers travel in buffers that were allocated at the start and come back through
//! a third ring. When a queue to the recovery is full, the receive thread forgets single messages
//! and tells everything anew once there is room; see [`super::recovery_port`].

use rtrb::{Consumer, Producer, RingBuffer};
use tickdeck_arbiter::{Content, Source, Unit};
use tickdeck_recovery::{Fault, LossReason};
use tickdeck_wire::moldudp64::{Session, count_blocks};
use tickdeck_wire::record::SnapshotEvent;

use super::wake::Wake;
use crate::exit::Failure;

/// Answer buffers in flight.
const ANSWER_BUFFERS: usize = 512;
/// Messages to the receive thread besides answers.
const NOTES: usize = 4096;

/// What the receive thread tells the recovery.
#[derive(Clone, Copy, Debug)]
pub(super) enum Command {
    /// These messages of a gap are to be asked for.
    Open {
        id: u64,
        session: Session,
        first: u64,
        last: u64,
        detected_ns: u64,
    },
    /// These messages of a gap have arrived.
    Narrowed { id: u64, first: u64, last: u64 },
    /// Nothing of this gap is wanted any more.
    Closed { id: u64 },
    /// Every open gap is about to be told anew.
    ForgetAll,
    /// Where the output stands; told now and then, for probes.
    Position { session: Session, next: u64 },
    /// The output stands before this number and waits for the snapshot.
    Stopped { sequence: u64 },
    /// The output is beyond the number asked for, or there is no session.
    NotStopped,
    /// This answer is not what it was taken for.
    Refused { about: About },
}

/// What the recovery tells the receive thread.
#[derive(Debug)]
pub(super) enum Feedback {
    /// Something that was asked for.
    Answer(Answer),
    /// A request was made.
    Requested { id: u64, requests: u32, at_ns: u64 },
    /// The gap waits for a snapshot.
    AwaitsSnapshot { id: u64 },
    /// What a source did wrong while the gap was open.
    Faulty { id: u64, fault: Fault },
    /// Stop the output before this number, or where it stands; what is missing below is given up.
    StopAt { sequence: Option<u64> },
    /// A snapshot begins.
    SnapshotBegin(SnapshotEvent),
    /// Its next part.
    SnapshotPart(Answer),
    /// It is whole.
    SnapshotEnd(SnapshotEvent),
    /// What this gap and those before it cost is whole again, by snapshots.
    Healed { newest: u64 },
    /// There will be no snapshot, or it is published: let the output go on.
    GoOn,
    /// The gap missed its objective.
    SloMissed { id: u64 },
    /// Nobody will bring the rest of this gap.
    GiveUp { id: u64, reason: LossReason },
    /// A gap did not fit; tell everything again.
    TellAgain,
}

/// What a source brought, in a buffer that goes back.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) bytes: Box<[u8]>,
    pub(super) length: usize,
    pub(super) about: About,
    /// When it was received, UTC ns.
    pub(super) rx_ns: u64,
}

/// What an answer is.
#[derive(Clone, Copy, Debug)]
pub(super) struct About {
    pub(super) source: Source,
    pub(super) session: Session,
    pub(super) first: u64,
    pub(super) count: u16,
    /// One packet that is numbered as a whole, else message blocks.
    pub(super) is_whole: bool,
}

impl Answer {
    pub(super) fn payload(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// The messages as the merge takes them. `None` when there are not as many as it says: what
    /// another thread has checked is checked again rather than passed as a promise.
    pub(super) fn unit(&self) -> Option<Unit<'_>> {
        let About {
            session,
            first,
            count,
            ..
        } = self.about;
        let blocks = self.payload();
        let is_whole = count > 0 && count_blocks(blocks) == Some(usize::from(count));
        is_whole.then(|| Unit::new(session, first, Content::Blocks { count, blocks }))
    }
}

impl About {
    /// Whether the unit is what was judged.
    pub(super) fn is_of(&self, unit: &Unit<'_>) -> bool {
        (unit.session, unit.first_sequence) == (self.session, self.first)
    }
}

/// The receive thread's ends.
pub(super) struct ReceiveEnd {
    pub(super) commands: Producer<Command>,
    pub(super) feedback: Consumer<Feedback>,
    pub(super) returns: Producer<Answer>,
    /// Wakes the recovery thread.
    pub(super) wake_recovery: Wake,
    /// Woken when feedback is there.
    pub(super) wake: Wake,
}

/// The recovery thread's ends.
pub(super) struct RecoveryEnd {
    pub(super) commands: Consumer<Command>,
    pub(super) feedback: Producer<Feedback>,
    pub(super) returns: Consumer<Answer>,
    /// Buffers at hand.
    pub(super) free: Vec<Answer>,
    /// Bytes that a buffer takes.
    pub(super) max_packet_bytes: usize,
    /// Wakes the receive thread.
    pub(super) wake_receive: Wake,
    /// Woken when commands are there.
    pub(super) wake: Wake,
}

/// What a buffer at hand holds.
const NOTHING: About = About {
    source: Source::Retransmit,
    session: Session([0; 10]),
    first: 0,
    count: 0,
    is_whole: false,
};

/// Makes the queues; `most_holes` is how many separate holes the merge can have at a time.
pub(super) fn link(
    most_holes: usize,
    max_packet_bytes: usize,
) -> Result<(ReceiveEnd, RecoveryEnd), Failure> {
    // Telling everything anew takes one message per hole and one more; twice that leaves room
    // for what happens meanwhile.
    let (commands_in, commands_out) = RingBuffer::new(2 * (most_holes + 1));
    let (feedback_in, feedback_out) = RingBuffer::new(ANSWER_BUFFERS + NOTES);
    let (returns_in, returns_out) = RingBuffer::new(ANSWER_BUFFERS);
    let (wake_receive, wake_recovery) = (Wake::new()?, Wake::new()?);
    let buffer = || {
        let bytes = vec![0; max_packet_bytes].into_boxed_slice();
        Answer {
            bytes,
            length: 0,
            about: NOTHING,
            rx_ns: 0,
        }
    };
    let receive = ReceiveEnd {
        commands: commands_in,
        feedback: feedback_out,
        returns: returns_in,
        wake_recovery: wake_recovery.clone(),
        wake: wake_receive.clone(),
    };
    let recovery = RecoveryEnd {
        commands: commands_out,
        feedback: feedback_in,
        returns: returns_out,
        free: (0..ANSWER_BUFFERS).map(|_| buffer()).collect(),
        max_packet_bytes,
        wake_receive,
        wake: wake_recovery,
    };
    Ok((receive, recovery))
}
