//! A snapshot channel: joined while something is suspect, read until it is whole again, left.
//!
//! The lost packets are passed at once: nobody brings them. The recovery follows the merged stream
//! in the ring as any reader does, so it knows what each product or instrument lacks, and publishes
//! each one whose cycle came whole and reaches far enough.

use std::collections::VecDeque;

use tickdeck_arbiter::Source;
use tickdeck_net::clock::realtime_ns;
use tickdeck_net::{LineConfig, Receiver as _, SocketConfig, UdpReceiver, WaitSet};
use tickdeck_recovery::Fault;
use tickdeck_ring::{Read, Reader};
use tickdeck_wire::moldudp64::Session;
use tickdeck_wire::record::{
    GapEvent, LostEvent, SessionEvent, SessionEventKind, SnapshotEvent, kind,
};

use super::outbox::Outbox;
use super::readiness::{Readiness, SourceName};
use super::venue::{Venue, Whole};
use crate::exit::chain;
use crate::rx::link::{About, Feedback};

/// Records of the ring and readings of the socket in one turn.
const RECORDS_PER_TURN: usize = 4096;
const READINGS_PER_TURN: usize = 16;
/// Least time between two attempts to join.
const JOIN_INTERVAL_NS: u64 = 1_000_000_000;

/// The merged stream, as a reader of the ring sees it.
pub(super) struct Stream {
    pub(super) ring: Reader,
    pub(super) next_seq: u64,
    pub(super) buffer: Vec<u8>,
}

pub(super) struct SnapshotChannel {
    venue: Venue,
    stream: Stream,
    line: LineConfig,
    socket: SocketConfig,
    receiver: Option<UdpReceiver>,
    join_due_ns: u64,
    /// Whole ones that wait for room.
    wholes: VecDeque<Whole>,
    /// The newest gap that is to be healed.
    healing: Option<u64>,
    /// The newest gap that the stream has passed and gone on behind.
    passed: u64,
    /// The newest gap whose end the stream has told. What it cost shows with the next packet.
    told: u64,
    /// When the channel was last heard, or joined, monotonic ns.
    heard_ns: u64,
    timeout_ns: u64,
    /// Until when it is listened to for a probe alone.
    probe_until_ns: Option<u64>,
}

impl SnapshotChannel {
    pub(super) fn new(
        venue: Venue,
        stream: Stream,
        line: LineConfig,
        socket: SocketConfig,
        timeout_ns: u64,
    ) -> Self {
        Self {
            venue,
            stream,
            line,
            socket,
            receiver: None,
            join_due_ns: 0,
            wholes: VecDeque::new(),
            healing: None,
            passed: 0,
            told: 0,
            heard_ns: 0,
            timeout_ns,
            probe_until_ns: None,
        }
    }

    /// Where it is heard.
    pub(super) fn address(&self) -> String {
        format!("{}:{}", self.line.group, self.line.port)
    }

    pub(super) fn protocol(&self) -> &'static str {
        self.venue.protocol()
    }

    /// Waits until what this gap and those before it cost is whole again; 0: an operator wants
    /// whatever is suspect looked at.
    pub(super) fn heal(&mut self, newest_gap: u64) {
        let newest = self.healing.unwrap_or(0).max(newest_gap);
        self.healing = Some(newest);
    }

    /// Listens for a packet, unless it listens already.
    pub(super) fn probe(&mut self, now_ns: u64) {
        if self.receiver.is_none() {
            self.probe_until_ns = Some(now_ns.saturating_add(self.timeout_ns));
        }
    }

    /// Whether it is read in earnest.
    pub(super) fn is_in_use(&self) -> bool {
        self.healing.is_some() || self.venue.suspects() > 0
    }

    /// Follows the stream, reads the channel, publishes what is whole. Returns whether anything
    /// happened.
    pub(super) fn serve(
        &mut self,
        now_ns: u64,
        outbox: &mut Outbox,
        readiness: &mut Readiness,
    ) -> bool {
        let followed = self.follow();
        self.join_or_leave(now_ns, readiness);
        let heard = self.read(now_ns, readiness);
        self.note_silence(now_ns, outbox, readiness);
        let published = self.publish(outbox);
        self.tell_healed(outbox);
        followed || heard || published
    }

    /// Adds the channel's socket.
    pub(super) fn register<'a>(
        &'a self,
        set: &mut WaitSet<'a>,
    ) -> Result<(), tickdeck_net::NetError> {
        match &self.receiver {
            Some(receiver) => receiver.register(set),
            None => Ok(()),
        }
    }

    fn follow(&mut self) -> bool {
        for count in 0..RECORDS_PER_TURN {
            let Stream {
                ring,
                next_seq,
                buffer,
            } = &mut self.stream;
            match ring.read(*next_seq, buffer) {
                Read::NotYet => return count > 0,
                Read::Lapped { oldest_seq } => {
                    let records = oldest_seq - *next_seq;
                    tracing::warn!(records, "recovery was lapped; what is in them is suspect");
                    *next_seq = oldest_seq;
                    // Whatever gaps ended in them: what they cost shows with the next packet, or in
                    // the next loop.
                    self.told = self.told.max(self.healing.unwrap_or(0));
                    self.venue.on_loss(0);
                }
                Read::Record { header, len } => {
                    *next_seq += 1;
                    let payload = &buffer[..len];
                    match header.kind {
                        kind::DATA => {
                            self.venue.on_packet(payload);
                            self.passed = self.told;
                        }
                        kind::GAP_LOST => {
                            if let Ok(lost) = LostEvent::decode(payload) {
                                self.told = self.told.max(lost.gap.gap_id);
                                self.venue.on_loss(lost.gap.last);
                            }
                        }
                        // A gap that was to be healed may be filled before it is given up.
                        kind::GAP_FILLED => {
                            if let Ok(gap) = GapEvent::decode(payload) {
                                self.told = self.told.max(gap.gap_id);
                            }
                        }
                        kind::SESSION => {
                            let event = SessionEvent::decode(payload).map(|event| event.kind);
                            if event == Ok(SessionEventKind::Changed) {
                                self.venue.restart();
                                // They are of the numbers before.
                                self.wholes.clear();
                            }
                        }
                        _ => {}
                    }
                }
            }
        }
        true
    }

    fn join_or_leave(&mut self, now_ns: u64, readiness: &mut Readiness) {
        let is_wanted = self.is_in_use() || self.probe_until_ns.is_some();
        match (is_wanted, &self.receiver) {
            (false, Some(_)) => {
                self.receiver = None;
                tracing::info!("snapshot channel left");
            }
            (true, None) if now_ns >= self.join_due_ns => self.join(now_ns, readiness),
            _ => {}
        }
    }

    fn join(&mut self, now_ns: u64, readiness: &mut Readiness) {
        self.join_due_ns = now_ns.saturating_add(JOIN_INTERVAL_NS);
        match UdpReceiver::open(&self.line, &self.socket) {
            Ok(receiver) => {
                self.receiver = Some(receiver);
                self.heard_ns = now_ns;
                if self.is_in_use() {
                    readiness.in_use(SourceName::Snapshot);
                    let suspects = self.venue.suspects();
                    tracing::info!(suspects, "snapshot channel joined");
                }
            }
            Err(error) => {
                self.probe_until_ns = None;
                readiness.failed(SourceName::Snapshot, chain(&error), realtime_ns());
            }
        }
    }

    fn read(&mut self, now_ns: u64, readiness: &mut Readiness) -> bool {
        let Self {
            receiver: Some(receiver),
            venue,
            wholes,
            ..
        } = self
        else {
            return false;
        };
        let (mut packets, mut failure) = (0, None);
        for _ in 0..READINGS_PER_TURN {
            let received = receiver.receive(&mut |datagram: tickdeck_net::Datagram<'_>| {
                // What was cut off may look whole where it ends between two messages.
                let is_packet = !datagram.truncated
                    && venue.on_snapshot(datagram.payload, |whole| wholes.push_back(whole));
                packets += u64::from(is_packet);
            });
            match received {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) => {
                    failure = Some(chain(&error));
                    break;
                }
            }
        }
        if let Some(text) = failure {
            self.receiver = None;
            readiness.failed(SourceName::Snapshot, text, realtime_ns());
        } else if packets > 0 {
            self.probe_until_ns = None;
            let waited_ns = now_ns.saturating_sub(self.heard_ns);
            self.heard_ns = now_ns;
            readiness.ready(SourceName::Snapshot, waited_ns, realtime_ns());
        }
        packets > 0
    }

    fn note_silence(&mut self, now_ns: u64, outbox: &mut Outbox, readiness: &mut Readiness) {
        let is_silent =
            self.receiver.is_some() && now_ns.saturating_sub(self.heard_ns) >= self.timeout_ns;
        if !is_silent {
            return;
        }
        self.heard_ns = now_ns;
        self.probe_until_ns = None;
        let text = format!("no packet within {} ms", self.timeout_ns / 1_000_000);
        readiness.failed(SourceName::Snapshot, text, realtime_ns());
        if let Some(id) = self.healing.filter(|id| *id > 0) {
            let fault = Fault::Silent;
            outbox.tell(Feedback::Faulty { id, fault });
        }
    }

    fn publish(&mut self, outbox: &mut Outbox) -> bool {
        let mut published = false;
        while outbox.has_room()
            && let Some(whole) = self.wholes.pop_front()
        {
            let longest = whole.packets.iter().map(Vec::len).max().unwrap_or(0);
            if longest > outbox.buffer_bytes() {
                let scope = whole.scope;
                tracing::error!(
                    scope,
                    longest,
                    "a snapshot packet does not fit a record; raise receive.max_packet_bytes"
                );
                continue;
            }
            put(&whole, self.healing.unwrap_or(0), outbox);
            published = true;
        }
        published
    }

    fn tell_healed(&mut self, outbox: &mut Outbox) {
        if let Some(newest) = self.healing
            && self.passed >= newest
            && self.wholes.is_empty()
            && self.venue.is_proven()
        {
            self.healing = None;
            tracing::info!(gap = newest, "every book is whole again");
            outbox.tell(Feedback::Healed { newest });
        }
    }
}

fn put(whole: &Whole, gap_id: u64, outbox: &mut Outbox) {
    let event = SnapshotEvent {
        gap_id,
        scope: whole.scope,
        resume_sequence: whole.resume_sequence,
        records: whole.packets.len() as u64,
        orders: whole.orders,
    };
    outbox.tell(Feedback::SnapshotBegin(event));
    let about = About {
        source: Source::Retransmit,
        session: Session([b' '; 10]),
        first: event.resume_sequence,
        count: 0,
        is_whole: true,
    };
    let rx_ns = realtime_ns();
    for packet in &whole.packets {
        outbox.snapshot_part(about, packet, rx_ns);
    }
    outbox.tell(Feedback::SnapshotEnd(event));
    let (scope, orders) = (whole.scope, whole.orders);
    tracing::info!(scope, orders, "snapshot taken into the stream");
}

#[cfg(test)]
mod tests {
    use tickdeck_net::find_interface;
    use tickdeck_ring::{RecordHeader, RingConfig, Writer};
    use tickdeck_wire::eobi::Release;
    use tickdeck_wire::record::LossReason;

    use super::*;
    use crate::rx::link::link;
    use crate::rx::protocol::Wire;

    /// Gaps are told as healed when the stream has gone on behind the last of them: not before the
    /// packet that shows what its loss cost, and also when the last was filled after all.
    #[test]
    fn healing_ends_behind_the_last_gap() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let config = RingConfig {
            slot_count: 8,
            slot_bytes: 64,
            start_seq: 1,
            log_id: [0; 16],
            incarnation: [0; 16],
        };
        let path = directory.path().join("ring");
        let mut ring = Writer::create(&path, &config).expect("ring");
        let mut channel = channel_of(Reader::open(&path).expect("ring"));
        let (mut receive, end) = link(8, 64).expect("queues");
        let mut outbox = Outbox::new(end);
        let gap_event = |gap_id| GapEvent {
            gap_id,
            first: gap_id * 10,
            last: gap_id * 10,
            detected_ns: 0,
        };
        let mut is_healed_after = |kind, payload: &[u8]| {
            let header = RecordHeader {
                kind,
                ..RecordHeader::default()
            };
            ring.publish(&header, payload).expect("published");
            channel.follow();
            channel.tell_healed(&mut outbox);
            outbox.flush();
            matches!(receive.feedback.pop(), Ok(Feedback::Healed { newest: 2 }))
        };
        let lost = |gap_id| {
            let (gap, reason) = (gap_event(gap_id), LossReason::Snapshot);
            LostEvent { gap, reason }.encode()
        };
        assert!(!is_healed_after(kind::DATA, b"packet"));
        assert!(!is_healed_after(kind::GAP_LOST, &lost(1)));
        assert!(!is_healed_after(kind::DATA, b"packet"));
        assert!(!is_healed_after(kind::GAP_FILLED, &gap_event(2).encode()));
        assert!(is_healed_after(kind::DATA, b"packet"));
    }

    /// The EOBI channel of a ring; nothing is sent to its group.
    fn channel_of(ring: Reader) -> SnapshotChannel {
        let stream = Stream {
            buffer: vec![0; ring.slot_bytes()],
            ring,
            next_seq: 1,
        };
        let line = LineConfig {
            line: 0,
            group: std::net::Ipv4Addr::new(239, 1, 1, 1).into(),
            port: 1,
            interface: find_interface("lo").expect("loopback interface"),
            source: None,
        };
        let venue = Venue::of(Wire::Eobi(Release::V14_1), 1 << 20).expect("a venue");
        let mut channel = SnapshotChannel::new(venue, stream, line, SocketConfig::default(), 1);
        channel.heal(2);
        channel
    }
}
