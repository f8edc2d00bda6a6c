//! CME MDP3 and EOBI channels through framing and merge: resets, wraps, resumptions.

use tickdeck_arbiter::{
    Arbiter, Arrival, Config, Conflict, Disposition, Event, Framing, Output, Refused, Run,
    SessionEventKind, Source, Start,
};
use tickdeck_wire::moldudp64::Session;
use tickdeck_wire::{cme, eobi};

const S: u64 = 1_000_000_000;

fn cme_packet(number: u32, sent_ns: u64) -> Vec<u8> {
    let mut builder = cme::PacketBuilder::new(1400);
    builder.begin(number, sent_ns);
    assert!(builder.heartbeat());
    builder.finish().to_vec()
}

fn eobi_packet(number: u32, sent_ns: u64, resets: bool, last_processed: u32) -> Vec<u8> {
    let mut builder = eobi::PacketBuilder::new(eobi::Release::V14_1);
    builder.begin(eobi::Header {
        sequence: number,
        market_segment_id: 688,
        partition_id: 2,
        completes: true,
        resets,
        transact_time_ns: sent_ns,
    });
    assert!(builder.push(&eobi::Content::Heartbeat { last_processed }, None));
    builder.finish().to_vec()
}

#[derive(Default)]
struct Told {
    /// The epoch's number, the packet's number, and its length.
    packets: Vec<(u32, u64, usize)>,
    sessions: Vec<(SessionEventKind, u32, bool)>,
    gaps: Vec<(u64, u64)>,
    conflicts: Vec<Conflict>,
    epoch: u32,
}

fn number_of(session: Session) -> u32 {
    let text = session.to_string();
    let digits = text.strip_prefix("EPOCH").expect("the name of an epoch");
    digits.parse().expect("five digits")
}

impl Output for Told {
    fn deliver(&mut self, run: Run<'_>) {
        assert_eq!(run.count, 1, "a packet has one number");
        self.packets
            .push((self.epoch, run.first_sequence, run.payload.len()));
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Session {
                kind,
                session,
                expected,
                ..
            } => {
                self.epoch = number_of(session);
                self.sessions.push((kind, self.epoch, expected));
            }
            Event::GapOpened { gap } => self.gaps.push((gap.first, gap.last)),
            _ => {}
        }
    }

    fn conflict(&mut self, conflict: Conflict) {
        self.conflicts.push(conflict);
    }
}

struct Channel {
    framing: Framing,
    arbiter: Arbiter,
    told: Told,
}

impl Channel {
    fn new(framing: Framing, start: Start) -> Self {
        let config = Config {
            start,
            ..Config::default()
        };
        Self {
            framing,
            arbiter: Arbiter::new(config).expect("a valid configuration"),
            told: Told::default(),
        }
    }

    fn cme() -> Self {
        Self::new(Framing::cme_mdp3(), Start::FirstSeen)
    }

    fn eobi() -> Self {
        let framing = Framing::eobi(eobi::Release::V14_1);
        Self::new(framing, Start::FirstSeen)
    }

    fn bring(&mut self, line: u8, bytes: &[u8], now_ns: u64) -> Result<Disposition, Refused> {
        let unit = self.framing.frame(line, bytes, now_ns)?;
        let arrival = Arrival {
            source: Source::Line(line),
            unit,
            rx_ns: now_ns,
            stamp: 1,
            now_ns,
        };
        Ok(self.arbiter.on_packet(arrival, &mut self.told))
    }

    fn numbers(&self) -> Vec<(u32, u64)> {
        let numbers = self.told.packets.iter();
        numbers
            .map(|(epoch, number, _)| (*epoch, *number))
            .collect()
    }
}

/// A channel joined in mid-session begins with the first packet seen; equal copies are duplicates
/// of all their bytes.
#[test]
fn cme_channel_is_joined_in_mid_session() {
    let mut channel = Channel::cme();
    for number in 5615..5620u32 {
        let bytes = cme_packet(number, u64::from(number) * S);
        assert_eq!(channel.bring(0, &bytes, 1), Ok(Disposition::Delivered));
        assert_eq!(channel.bring(1, &bytes, 2), Ok(Disposition::Duplicate));
    }
    let old = cme_packet(5614, 5614 * S);
    assert_eq!(channel.bring(1, &old, 3), Ok(Disposition::Stale));
    assert_eq!(channel.numbers().first(), Some(&(1, 5615)));
    assert_eq!(
        channel.told.sessions,
        [(SessionEventKind::Started, 1, true)]
    );
    assert!(channel.told.gaps.is_empty());
    assert_eq!(channel.arbiter.counters().duplicates_uncompared, 0);
}

/// A reset that nobody announced: the next epoch begins at 1 without waiting, nothing of it is
/// lost, what the old one misses is lost, and its stragglers never come back.
#[test]
fn unannounced_reset_takes_over() {
    let mut channel = Channel::cme();
    for (line, number) in [(0, 50), (1, 50), (0, 51), (1, 51), (0, 53)] {
        let bytes = cme_packet(number, u64::from(number) * S);
        channel.bring(line, &bytes, 0).expect("of the epoch");
    }
    let first = cme_packet(1, 900 * S);
    let reason = channel
        .bring(0, &first, 0)
        .map_err(|refused| refused.reason);
    assert_eq!(reason, Err("unconfirmed_reset"));
    assert_eq!(channel.bring(1, &first, 0), Ok(Disposition::Delivered));
    let straggler = cme_packet(52, 52 * S);
    let reason = channel
        .bring(1, &straggler, 0)
        .map_err(|refused| refused.reason);
    assert_eq!(reason, Err("straggler"));
    let second = cme_packet(2, 901 * S);
    assert_eq!(channel.bring(0, &second, 0), Ok(Disposition::Delivered));
    assert_eq!(channel.bring(1, &second, 0), Ok(Disposition::Duplicate));
    assert_eq!(
        channel.numbers(),
        [(1, 50), (1, 51), (1, 53), (2, 1), (2, 2)]
    );
    let changed = (SessionEventKind::Changed, 2, false);
    assert_eq!(channel.told.sessions.last(), Some(&changed));
    let counters = channel.arbiter.counters();
    assert_eq!(counters.session_changes_unexpected, 1);
    assert_eq!((counters.messages_lost, counters.wrong_session), (1, 0));
    assert_eq!(channel.framing.epochs().stragglers, 1);
}

/// An announced reset of EOBI is expected. The lines stamp their headers differently: copies are
/// equal behind them, and other messages under one number are a conflict.
#[test]
fn announced_reset_is_expected() {
    let mut channel = Channel::eobi();
    for number in 1..4u32 {
        let sent_ns = u64::from(number) * S;
        let copies = [0, 1].map(|line| eobi_packet(number, sent_ns + line, false, number));
        assert_eq!(channel.bring(0, &copies[0], 0), Ok(Disposition::Delivered));
        assert_eq!(channel.bring(1, &copies[1], 0), Ok(Disposition::Duplicate));
    }
    let other = eobi_packet(3, 3 * S + 2, false, 77);
    assert_eq!(channel.bring(1, &other, 0), Ok(Disposition::Conflict));
    assert_eq!(channel.told.conflicts.len(), 1);
    let copies = [0, 1].map(|line| eobi_packet(1, 90 * S - line, true, 0));
    assert!(channel.bring(0, &copies[0], 0).is_err());
    assert_eq!(channel.bring(1, &copies[1], 0), Ok(Disposition::Delivered));
    let changed = (SessionEventKind::Changed, 2, true);
    assert_eq!(channel.told.sessions.last(), Some(&changed));
    let counters = channel.arbiter.counters();
    assert_eq!(counters.session_changes, 1);
    assert_eq!(counters.session_changes_unexpected, 0);
}

/// The first packets of the new epoch are missed on both lines: they are a gap from 1.
#[test]
fn epoch_that_begins_unseen_has_a_gap() {
    let mut channel = Channel::cme();
    for number in [50, 51] {
        channel
            .bring(0, &cme_packet(number, u64::from(number) * S), 0)
            .expect("of the epoch");
    }
    channel
        .bring(0, &cme_packet(3, 900 * S), 0)
        .expect_err("a claim");
    let bytes = cme_packet(4, 901 * S);
    assert_eq!(channel.bring(0, &bytes, 0), Ok(Disposition::Held));
    assert_eq!(channel.told.gaps, [(1, 3)]);
}

/// The numbers of the wire end at 32 bits; the next epoch follows, and up to there all is one.
#[test]
fn wire_numbers_wrap() {
    let mut channel = Channel::cme();
    for number in u32::MAX - 2..=u32::MAX {
        for line in [0, 1] {
            let bytes = cme_packet(number, u64::from(number) * S);
            channel.bring(line, &bytes, 0).expect("of the epoch");
        }
    }
    let sent_ns = (u64::from(u32::MAX) + 1) * S;
    let first = cme_packet(1, sent_ns);
    channel.bring(0, &first, 0).expect_err("a claim");
    channel.bring(1, &first, 0).expect("confirmed");
    let top = u64::from(u32::MAX);
    assert_eq!(
        channel.numbers(),
        [(1, top - 2), (1, top - 1), (1, top), (2, 1)]
    );
    assert!(channel.told.gaps.is_empty());
}

/// A run that is started again goes on in its epoch: what was missed meanwhile is a gap of it. A
/// reset that came meanwhile is the next epoch.
#[test]
fn resumed_epoch_goes_on() {
    let session = Session(*b"EPOCH00007");
    let resumed = || {
        let framing = Framing::cme_mdp3()
            .resume(session, 100, 100 * S)
            .expect("the name of an epoch");
        let start = Start::Resume {
            session,
            next_sequence: 101,
        };
        Channel::new(framing, start)
    };
    let mut channel = resumed();
    let bytes = cme_packet(104, 104 * S);
    assert_eq!(channel.bring(0, &bytes, 0), Ok(Disposition::Held));
    assert_eq!(
        channel.told.sessions,
        [(SessionEventKind::Resumed, 7, true)]
    );
    assert_eq!(channel.told.gaps, [(101, 103)]);
    let mut channel = resumed();
    let bytes = cme_packet(1, 900 * S);
    channel.bring(0, &bytes, 0).expect_err("a claim");
    assert_eq!(channel.bring(1, &bytes, 0), Ok(Disposition::Delivered));
    assert_eq!(channel.numbers(), [(8, 1)]);
    let name = Session(*b"MONDAY    ");
    assert!(Framing::cme_mdp3().resume(name, 1, 1).is_err());
    assert!(Framing::moldudp64().resume(name, 1, 1).is_ok());
}

/// An answer fills a hole of its own epoch; one of the epoch before, whose numbers would fit, is
/// refused.
#[test]
fn answers_of_an_older_epoch_are_refused() {
    let mut channel = Channel::cme();
    for number in [1, 2, 3] {
        channel
            .bring(0, &cme_packet(number, u64::from(number) * S), 0)
            .expect("of the epoch");
    }
    for (number, sent) in [(1, 100), (2, 101), (4, 103)] {
        let _ = channel.bring(0, &cme_packet(number, sent * S), 0);
    }
    let old = cme_packet(3, 3 * S);
    assert!(channel.framing.frame_answer(&old).is_err());
    let answer = cme_packet(3, 102 * S);
    let unit = channel.framing.frame_answer(&answer).expect("of the epoch");
    let arrival = Arrival {
        source: Source::Peer,
        unit,
        rx_ns: 0,
        stamp: 1,
        now_ns: 0,
    };
    let disposition = channel.arbiter.on_packet(arrival, &mut channel.told);
    assert_eq!(
        disposition,
        Disposition::Held,
        "1 was refused and is missing"
    );
}

/// Bytes that are no packet are refused with the parser's word, and move nothing.
#[test]
fn garbage_is_refused() {
    let mut channel = Channel::eobi();
    let reason = |channel: &mut Channel, bytes: &[u8]| {
        let refused = channel.bring(0, bytes, 0).expect_err("no packet");
        refused.reason
    };
    assert_eq!(
        reason(&mut channel, &[0xC0, 0xF8, 1]),
        "technical_heartbeat"
    );
    assert_eq!(reason(&mut channel, &[1, 2, 3]), "truncated");
    let mut channel = Channel::cme();
    assert_eq!(reason(&mut channel, &[0; 12]), "zero_sequence");
    let mut channel = Channel::new(Framing::moldudp64(), Start::FirstSeen);
    assert_eq!(reason(&mut channel, &[0; 20]), "zero_sequence");
    assert!(channel.told.sessions.is_empty());
}
