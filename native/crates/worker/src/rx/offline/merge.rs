//! The arbiter over the packets of a channel.
//!
//! The whole capture is known before the first packet is merged. So the stream begins at the
//! lowest number that there is, not at the first packet, which a faster line may have overtaken.
//! And a hole is given up as soon as no line will fill it, and not before: it never waits for a
//! clock.

use std::collections::BTreeMap;

use tickdeck_arbiter::{
    Arbiter, Arrival, Config, ConfigError, Content, Disposition, Event, LossReason, Output, Run,
    SessionEventKind, Source, Start, Unit,
};
use tickdeck_wire::moldudp64::{Session, skip_blocks};
use tickdeck_wire::record::{GapEvent, LostEvent, SessionEvent, kind, stamp};

use super::account::{Account, Ledger, LineAccount};
use super::arguments::{Drops, LINES, join};
use super::arrivals::Arrivals;
use super::continuity::Continuity;
use super::merged::Merged;
use crate::rx::protocol::Wire;

/// Packets held behind a hole most.
const HOLD_MOST: usize = 1 << 16;

/// Bytes kept most to compare copies with.
const COMPARE_MOST: usize = 1 << 26;

/// Gaps open at a time.
const GAPS: usize = 4_096;

/// A packet of a line, or a part of one that `--drop` left.
struct Piece<'a> {
    at_ns: u64,
    line: u8,
    unit: Unit<'a>,
    /// What the whole packet carried.
    whole: (u64, u64),
    /// The first piece of its packet.
    is_packet: bool,
}

/// A channel's packets, cut and counted before the merge.
struct Framed<'a> {
    pieces: Vec<Piece<'a>>,
    /// By session: what lines will bring, and the range before anything was dropped.
    sessions: BTreeMap<Session, Known>,
    rejected: BTreeMap<&'static str, u64>,
    longest: usize,
    bytes: usize,
}

/// What is known of a session before the merge.
#[derive(Default)]
struct Known {
    /// What the lines will bring.
    ledger: Ledger,
    /// The lowest and the highest number of any packet.
    range: Range,
    /// The same of the packets that `--drop` took whole.
    dropped: Range,
}

/// The lowest and the highest number of some packets; `None` of none.
#[derive(Clone, Copy, Default)]
struct Range(Option<(u64, u64)>);

/// Merges a channel; one account per session, in order.
pub(super) fn run(
    arrivals: &Arrivals,
    channel: usize,
    wire: Wire,
    drops: &Drops,
) -> Result<Vec<Account>, ConfigError> {
    let framed = Framed::read(arrivals, channel, wire, drops);
    let mut merge = Merge::new(&framed, drops)?;
    if wire == Wire::CmeMdp3 {
        merge.sink.continuity = Some(Continuity::default());
    }
    for piece in &framed.pieces {
        merge.take(piece);
    }
    Ok(merge.finish())
}

/// Merges a capture's only channel and keeps the stream.
pub(super) fn records(
    arrivals: &Arrivals,
    wire: Wire,
    drops: &Drops,
) -> Result<Merged, ConfigError> {
    let framed = Framed::read(arrivals, 0, wire, drops);
    let mut merge = Merge::new(&framed, drops)?;
    merge.sink.records = Some(Merged::default());
    for piece in &framed.pieces {
        merge.take(piece);
    }
    let open: Vec<_> = merge.arbiter.gaps().map(|view| view.gap.id).collect();
    for id in open {
        merge.give_up(id);
    }
    Ok(merge.sink.records.take().unwrap_or_default())
}

impl<'a> Framed<'a> {
    fn read(arrivals: &'a Arrivals, channel: usize, wire: Wire, drops: &Drops) -> Self {
        let mut framing = wire.framing();
        let mut framed = Self {
            pieces: Vec::new(),
            sessions: BTreeMap::new(),
            rejected: BTreeMap::new(),
            longest: 1,
            bytes: 1,
        };
        for (arrival, bytes) in arrivals.of(channel) {
            match framing.frame(arrival.line, bytes, arrival.at_ns) {
                Ok(unit) => framed.push(arrival.at_ns, arrival.line, unit, drops),
                Err(refused) => *framed.rejected.entry(refused.reason).or_insert(0) += 1,
            }
            framed.longest = framed.longest.max(bytes.len());
            framed.bytes += bytes.len();
        }
        let sessions = framed.sessions.values_mut();
        sessions.for_each(|known| known.ledger.sort());
        framed
    }

    /// Notes a packet and keeps what is not dropped of it.
    fn push(&mut self, at_ns: u64, line: u8, unit: Unit<'a>, drops: &Drops) {
        let first = unit.first_sequence;
        let whole = (first, first.saturating_add(u64::from(unit.count())));
        let known = self.sessions.entry(unit.session).or_default();
        known.range.widen(whole);
        let mut is_packet = true;
        let mut keep = |unit| {
            self.pieces.push(Piece {
                at_ns,
                line,
                unit,
                whole,
                is_packet: std::mem::take(&mut is_packet),
            });
        };
        if unit.count() == 0 {
            return keep(unit);
        }
        let kept = drops.kept(line, whole.0, whole.1);
        if kept.is_empty() {
            known.dropped.widen(whole);
        }
        for part in kept {
            known.ledger.note(line, part.0, part.1, at_ns);
            keep(part_of(unit, part));
        }
    }
}

impl Range {
    /// Takes in the numbers `first..end`; a heartbeat, which has none, says how far the stream has
    /// come.
    fn widen(&mut self, (first, end): (u64, u64)) {
        let (low, high) = self.0.unwrap_or((first, 0));
        self.0 = Some((low.min(first), high.max(end.saturating_sub(1))));
    }
}

/// The messages `first..end` of a unit.
fn part_of(unit: Unit<'_>, (first, end): (u64, u64)) -> Unit<'_> {
    let Content::Blocks { blocks, .. } = unit.content else {
        return unit;
    };
    let skip = |from: &'_ [u8], count: u64| skip_blocks(from, count as usize).map(<[u8]>::len);
    let before = blocks.len() - skip(blocks, first - unit.first_sequence).unwrap_or(0);
    let rest = &blocks[before..];
    let behind = skip(rest, end - first).unwrap_or(0);
    let content = Content::Blocks {
        count: (end - first) as u16,
        blocks: &rest[..rest.len() - behind],
    };
    Unit {
        first_sequence: first,
        content,
        ..unit
    }
}

/// A merge that runs.
struct Merge<'a> {
    framed: &'a Framed<'a>,
    arbiter: Arbiter,
    sink: Sink,
    /// What really came, of the session that is merged now.
    ledger: Ledger,
    range: Range,
    packets: [u64; LINES],
    rejected: BTreeMap<&'static str, u64>,
    /// The arbiter's totals when the session began.
    before: Totals,
    session: Option<Session>,
    now_ns: u64,
    done: Vec<Account>,
}

/// What the arbiter counts over all sessions.
#[derive(Clone, Copy, Default)]
struct Totals {
    duplicates: u64,
    conflicts: u64,
    uncompared: u64,
    hold_dropped: u64,
    first: [u64; LINES],
}

/// Takes the arbiter's output.
#[derive(Default)]
struct Sink {
    lost: Vec<(u64, u64)>,
    /// Gaps to look at: opened, or filled in part.
    changed: Vec<u64>,
    /// What was lost of a session that another took the place of.
    left: Option<Left>,
    continuity: Option<Continuity>,
    /// The stream itself, where it is wanted.
    records: Option<Merged>,
}

/// What the arbiter put out of a session.
#[derive(Default)]
struct Left {
    lost: Vec<(u64, u64)>,
    continuity: Option<Continuity>,
}

impl<'a> Merge<'a> {
    fn new(framed: &'a Framed<'a>, drops: &Drops) -> Result<Self, ConfigError> {
        let session = framed.pieces.first().map(|piece| piece.unit.session);
        let range = session.and_then(|session| framed.sessions[&session].range.0);
        let start = match (session, range) {
            (Some(session), Some((first, _))) if first > 0 => Start::Resume {
                session,
                next_sequence: first,
            },
            _ => Start::FirstSeen,
        };
        let default = Config::default();
        let config = Config {
            lines: LINES,
            compare_bytes: framed.bytes.min(COMPARE_MOST),
            hold_capacity_packets: framed.pieces.len().clamp(1, HOLD_MOST),
            max_packet_bytes: framed.longest,
            gap_capacity: GAPS,
            max_jump_messages: default.max_jump_messages.saturating_add(drops.most()),
            start,
            ..default
        };
        Ok(Self {
            framed,
            arbiter: Arbiter::new(config)?,
            sink: Sink::default(),
            ledger: Ledger::default(),
            range: Range::default(),
            packets: [0; LINES],
            rejected: framed.rejected.clone(),
            before: Totals::default(),
            session: None,
            now_ns: 0,
            done: Vec::new(),
        })
    }

    fn take(&mut self, piece: &Piece<'_>) {
        self.now_ns = piece.at_ns;
        let totals = self.totals();
        let disposition = self.merge(piece);
        if self.arbiter.session() != self.session {
            if let Some(session) = self.session {
                let left = self.sink.left.take();
                let left = left.expect("a session that takes the place of another tells so");
                self.close(session, totals, left);
            }
            self.session = self.arbiter.session();
            self.before = totals;
        }
        match refusal(disposition) {
            Some(reason) => *self.rejected.entry(reason).or_insert(0) += 1,
            None => self.note(piece),
        }
        self.give_up_hopeless();
    }

    /// Hands a piece over. Where there is no room to hold it, what it waits for is given up.
    fn merge(&mut self, piece: &Piece<'_>) -> Disposition {
        let arrival = Arrival {
            source: Source::Line(piece.line),
            unit: piece.unit,
            rx_ns: piece.at_ns,
            stamp: stamp::KERNEL,
            now_ns: piece.at_ns,
        };
        loop {
            let disposition = self.arbiter.on_packet(arrival, &mut self.sink);
            let first = self.arbiter.gaps().next().map(|view| view.gap.id);
            match (disposition, first) {
                (Disposition::HoldFull, Some(id)) if self.give_up(id) => {}
                _ => return disposition,
            }
        }
    }

    fn note(&mut self, piece: &Piece<'_>) {
        let unit = &piece.unit;
        let line = usize::from(piece.line);
        self.packets[line] += u64::from(piece.is_packet);
        let end = unit.first_sequence + u64::from(unit.count());
        self.ledger
            .note(piece.line, unit.first_sequence, end, piece.at_ns);
        self.range.widen(piece.whole);
    }

    /// Gives up the holes that no line will fill.
    fn give_up_hopeless(&mut self) {
        while let Some(id) = self.sink.changed.pop() {
            let Some(session) = self.arbiter.session() else {
                return;
            };
            let ledger = self.framed.sessions.get(&session);
            let will_come =
                |(first, last)| ledger.is_some_and(|known| known.ledger.has_any(first, last));
            let mut holes = self.arbiter.holes(id).peekable();
            if holes.peek().is_some() && !holes.any(will_come) {
                drop(holes);
                self.give_up(id);
            }
        }
    }

    fn give_up(&mut self, id: u64) -> bool {
        let reason = LossReason::NoRecoverySource;
        self.arbiter
            .give_up(id, reason, self.now_ns, &mut self.sink)
    }

    fn finish(mut self) -> Vec<Account> {
        let open: Vec<_> = self.arbiter.gaps().map(|view| view.gap.id).collect();
        for id in open {
            self.give_up(id);
        }
        let left = self.sink.leave();
        let totals = self.totals();
        // Without one accepted packet there still is what was rejected.
        let session = self.session.unwrap_or(Session(*b"          "));
        self.close(session, totals, left);
        self.done
    }

    /// Ends the account of a session.
    fn close(&mut self, session: Session, totals: Totals, left: Left) {
        let mut gaps = left.lost;
        let mut ledger = std::mem::take(&mut self.ledger);
        ledger.sort();
        let mut range = std::mem::take(&mut self.range);
        // What `--drop` took at the edges was in the capture; the arbiter never heard of it.
        let known = self.framed.sessions.get(&session);
        if let Some((first, last)) = known.and_then(|known| known.dropped.0) {
            range.widen((first, last + 1));
        }
        let range = range.0.filter(|(first, last)| first <= last);
        gaps.extend(range.map(|range| ledger.edges(range)).unwrap_or_default());
        join(&mut gaps);
        let line = |line: usize| LineAccount {
            packets: self.packets[line],
            first: totals.first[line] - self.before.first[line],
            lost: range.map_or(0, |range| ledger.lost(line, range)),
        };
        self.done.push(Account {
            session,
            range,
            lines: [line(0), line(1)],
            duplicates: totals.duplicates - self.before.duplicates,
            conflicts: totals.conflicts - self.before.conflicts,
            uncompared: totals.uncompared - self.before.uncompared,
            hold_dropped: totals.hold_dropped - self.before.hold_dropped,
            gaps,
            skew: ledger.skew(),
            continuity: left.continuity,
            rejected: std::mem::take(&mut self.rejected),
        });
        self.packets = [0; LINES];
    }

    fn totals(&self) -> Totals {
        let counters = self.arbiter.counters();
        Totals {
            duplicates: counters.duplicates,
            conflicts: counters.conflicts,
            uncompared: counters.duplicates_uncompared,
            hold_dropped: counters.hold_dropped,
            first: [counters.lines[0].first, counters.lines[1].first],
        }
    }
}

impl Sink {
    /// Takes out what came of a session.
    fn leave(&mut self) -> Left {
        Left {
            lost: std::mem::take(&mut self.lost),
            continuity: self.continuity.as_mut().map(std::mem::take),
        }
    }
}

impl Output for Sink {
    fn deliver(&mut self, run: Run<'_>) {
        if let Some(continuity) = &mut self.continuity {
            continuity.take(run.payload);
        }
        if let Some(records) = &mut self.records {
            records.push_run(&run);
        }
    }

    fn event(&mut self, event: Event) {
        if let Some(records) = &mut self.records {
            keep_event(records, event);
        }
        match event {
            Event::GapOpened { gap } => self.changed.push(gap.id),
            Event::GapProgress { id, .. } => self.changed.push(id),
            Event::GapLost { gap, .. } => self.lost.push((gap.first, gap.last)),
            Event::Session {
                kind: SessionEventKind::Changed,
                ..
            } => self.left = Some(self.leave()),
            _ => {}
        }
    }
}

/// Keeps what a reader of the stream must know: what is lost, and that a session took over.
fn keep_event(records: &mut Merged, event: Event) {
    match event {
        Event::GapLost { gap, reason, .. } => {
            let (first, detected_ns) = (gap.first, gap.opened_ns);
            let lost = LostEvent {
                gap: GapEvent {
                    gap_id: gap.id,
                    first: gap.first,
                    last: gap.last,
                    detected_ns,
                },
                reason,
            };
            records.push(kind::GAP_LOST, first, detected_ns, &lost.encode());
        }
        Event::Session {
            kind: SessionEventKind::Changed,
            session,
            next_sequence,
            ..
        } => {
            let changed = SessionEvent {
                kind: SessionEventKind::Changed,
                session,
                next_sequence,
            };
            records.push(kind::SESSION, next_sequence, 0, &changed.encode());
        }
        _ => {}
    }
}

/// Why the arbiter did not take a packet.
fn refusal(disposition: Disposition) -> Option<&'static str> {
    match disposition {
        Disposition::WrongSession => Some("wrong_session"),
        Disposition::ImplausibleJump => Some("implausible_jump"),
        Disposition::SequenceOverflow => Some("sequence_overflow"),
        Disposition::HoldFull => Some("hold_full"),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
