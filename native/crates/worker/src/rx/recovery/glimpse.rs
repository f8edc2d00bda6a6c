//! A GLIMPSE snapshot into the stream: the output stops, the snapshot is loaded, the output is
//! carried on to its place, the records go out, the output goes on.

use std::os::fd::BorrowedFd;

use tickdeck_arbiter::Source;
use tickdeck_net::clock::realtime_ns;
use tickdeck_recovery::Fault;
use tickdeck_recovery::glimpse::{Action, GlimpseClient, Snapshot};
use tickdeck_wire::moldudp64::Session;
use tickdeck_wire::record::SnapshotEvent;

use super::fits;
use super::outbox::{Outbox, pieces};
use super::tcp::{Client, Sorted, TcpSource};
use crate::rx::link::{About, Feedback};

/// A GLIMPSE server and where its snapshot stands.
pub(super) struct Glimpse {
    tcp: TcpSource<GlimpseClient>,
    state: State,
    timeout_ns: u64,
}

enum State {
    Idle,
    /// The output was asked to stop where it stands.
    Stopping {
        gap_id: u64,
        session: Session,
    },
    /// The server is asked.
    Loading {
        gap_id: u64,
    },
    /// The output was asked to come to the snapshot's place.
    Aiming {
        gap_id: u64,
        snapshot: Snapshot,
        until_ns: u64,
    },
    /// Records go out; bytes of the blocks that have.
    Publishing {
        event: SnapshotEvent,
        snapshot: Snapshot,
        sent: usize,
    },
}

/// How a snapshot ended.
pub(super) enum Outcome {
    /// It is in the stream and stands in for everything before this number.
    Done { resume_sequence: u64 },
    /// There is none.
    Failed(Fault, String),
}

impl Glimpse {
    pub(super) fn new(tcp: TcpSource<GlimpseClient>, timeout_ns: u64) -> Self {
        Self {
            tcp,
            state: State::Idle,
            timeout_ns,
        }
    }

    /// Whether no snapshot is under way.
    pub(super) fn is_idle(&self) -> bool {
        matches!(self.state, State::Idle)
    }

    /// Begins a snapshot for a gap; 0: for none. What is under way goes on.
    pub(super) fn begin(&mut self, gap_id: u64, session: Session, outbox: &mut Outbox) {
        if self.is_idle() {
            self.state = State::Stopping { gap_id, session };
            outbox.tell(Feedback::StopAt { sequence: None });
        }
    }

    /// The output stands before `sequence`; `None`: it cannot, or its session has changed.
    pub(super) fn on_stopped(
        &mut self,
        sequence: Option<u64>,
        now_ns: u64,
        outbox: &mut Outbox,
    ) -> Option<Outcome> {
        match (std::mem::replace(&mut self.state, State::Idle), sequence) {
            (State::Stopping { gap_id, session }, Some(sequence)) => {
                // Before a gap the first message that a snapshot must contain is missing.
                let at_least = sequence + u64::from(gap_id != 0);
                self.tcp.client.ask(Some(session), at_least, now_ns);
                self.state = State::Loading { gap_id };
                None
            }
            (
                State::Aiming {
                    gap_id, snapshot, ..
                },
                Some(_),
            ) => {
                let event = SnapshotEvent {
                    gap_id,
                    scope: SnapshotEvent::WHOLE_CHANNEL,
                    resume_sequence: snapshot.resume_sequence,
                    records: pieces(&snapshot.blocks, outbox.buffer_bytes()).count() as u64,
                    orders: snapshot.orders,
                };
                outbox.tell(Feedback::SnapshotBegin(event));
                self.state = State::Publishing {
                    event,
                    snapshot,
                    sent: 0,
                };
                None
            }
            (State::Idle, _) => None,
            (_, _) => {
                self.tcp.client.stop();
                let text = "the session has changed, or the output is beyond the snapshot";
                Some(self.fail(Fault::Stale, text.to_owned(), outbox))
            }
        }
    }

    /// Loads and publishes as far as there is room; returns whether anything happened.
    pub(super) fn serve(&mut self, now_ns: u64, outbox: &mut Outbox) -> (bool, Option<Outcome>) {
        let mut ended = None;
        let happened = self.tcp.serve(now_ns, |action| {
            ended = Some(action);
            true
        });
        match (&mut self.state, ended) {
            (State::Loading { .. }, Some(Action::Loaded(snapshot)))
                if !fits(&snapshot.blocks, false, outbox.buffer_bytes()) =>
            {
                let text = "a message of the snapshot is longer than receive.max_packet_bytes";
                return (
                    true,
                    Some(self.fail(Fault::Oversize, text.to_owned(), outbox)),
                );
            }
            (State::Loading { gap_id }, Some(Action::Loaded(snapshot))) => {
                let sequence = Some(snapshot.resume_sequence);
                outbox.tell(Feedback::StopAt { sequence });
                self.state = State::Aiming {
                    gap_id: *gap_id,
                    snapshot,
                    until_ns: now_ns.saturating_add(self.timeout_ns),
                };
            }
            (State::Loading { .. }, Some(Action::Failed { fault, detail })) => {
                return (true, Some(self.fail(fault, detail, outbox)));
            }
            (State::Aiming { until_ns, .. }, _) if *until_ns <= now_ns => {
                let text = "the lines do not come to the snapshot's place";
                return (
                    true,
                    Some(self.fail(Fault::NotAsked, text.to_owned(), outbox)),
                );
            }
            (State::Publishing { .. }, _) => {
                let before = self.left();
                let ended = self.publish(outbox);
                return (happened || self.left() < before || ended.is_some(), ended);
            }
            _ => {}
        }
        (happened, None)
    }

    pub(super) fn next_deadline_ns(&self) -> Option<u64> {
        let own = match self.state {
            State::Aiming { until_ns, .. } => Some(until_ns),
            _ => None,
        };
        own.into_iter().chain(self.tcp.next_deadline_ns()).min()
    }

    /// Whether it has to be looked at soon: buffers that come back wake nobody.
    pub(super) fn is_pending(&self) -> bool {
        self.tcp.is_pending() || matches!(self.state, State::Publishing { .. })
    }

    pub(super) fn socket(&self) -> Option<BorrowedFd<'_>> {
        self.tcp.socket()
    }

    /// Bytes of the snapshot that wait for room.
    fn left(&self) -> usize {
        match &self.state {
            State::Publishing { snapshot, sent, .. } => snapshot.blocks.len() - sent,
            _ => 0,
        }
    }

    fn publish(&mut self, outbox: &mut Outbox) -> Option<Outcome> {
        let State::Publishing {
            event,
            snapshot,
            sent,
        } = &mut self.state
        else {
            return None;
        };
        let (event, rx_ns) = (*event, realtime_ns());
        let about = About {
            source: Source::Retransmit,
            session: snapshot.session,
            first: event.resume_sequence,
            count: 0,
            is_whole: false,
        };
        let most = outbox.buffer_bytes();
        for (_, piece) in pieces(&snapshot.blocks[*sent..], most) {
            if !outbox.has_room() {
                return None;
            }
            outbox.snapshot_part(about, piece, rx_ns);
            *sent += piece.len();
        }
        outbox.tell(Feedback::SnapshotEnd(event));
        outbox.tell(Feedback::GoOn);
        self.state = State::Idle;
        let resume_sequence = event.resume_sequence;
        tracing::info!(
            resume_sequence,
            orders = event.orders,
            "snapshot taken into the stream"
        );
        Some(Outcome::Done { resume_sequence })
    }

    fn fail(&mut self, fault: Fault, detail: String, outbox: &mut Outbox) -> Outcome {
        self.state = State::Idle;
        outbox.tell(Feedback::GoOn);
        Outcome::Failed(fault, detail)
    }
}

impl Client for GlimpseClient {
    type Action = Action;

    fn on_connected(&mut self, now_ns: u64) {
        self.on_connected(now_ns);
    }

    fn on_bytes(&mut self, bytes: &[u8], now_ns: u64) {
        self.on_bytes(bytes, now_ns);
    }

    fn on_closed(&mut self, now_ns: u64) {
        self.on_closed(now_ns);
    }

    fn poll(&mut self, now_ns: u64) -> Option<Action> {
        self.poll(now_ns)
    }

    fn next_deadline_ns(&self) -> Option<u64> {
        self.next_deadline_ns()
    }

    fn sort(action: Action) -> Sorted<Action> {
        match action {
            Action::Connect => Sorted::Connect,
            Action::Send(bytes) => Sorted::Send(bytes),
            Action::Close => Sorted::Close,
            other => Sorted::Other(other),
        }
    }
}
