//! The whole way: two lines through framing and merge, what is lost on both given up at once, the
//! products judged and restored behind it.

use std::collections::BTreeMap;

use tickdeck_arbiter::{Arbiter, Arrival, Config, Event, Framing, Output, Run, Source, Start};
use tickdeck_recovery::LossReason;
use tickdeck_recovery::eobi::{Collector, CollectorConfig, Replayer, ReplayerConfig, Trust};
use tickdeck_sim::eobi::{Channel, Session, SessionConfig, Timed};
use tickdeck_sim::{Random, mix};
use tickdeck_wire::eobi::{Packet, Release};
use tickdeck_wire::record::SessionEventKind;

use crate::books::Books;

const RELEASE: Release = Release::V14_1;
/// Monotonic time of the session's start.
const START_NS: u64 = 1_000_000_000;

/// What the merge puts out, on to the replayer.
struct Reader {
    replayer: Replayer,
    books: Books,
    waited: Vec<u64>,
    lost: u64,
    conflicts: u64,
}

impl Output for Reader {
    fn deliver(&mut self, run: Run<'_>) {
        let packet = Packet::parse(run.payload, RELEASE).expect("a whole packet");
        assert_eq!(u64::from(packet.sequence()), run.first_sequence);
        self.replayer.on_packet(&packet, &mut self.books);
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::GapWaitOver { gap } => self.waited.push(gap.id),
            Event::GapLost { gap, .. } => self.lost += gap.last - gap.first + 1,
            Event::Session {
                kind: SessionEventKind::Changed,
                ..
            } => {
                self.replayer.restart(&mut self.books);
            }
            _ => {}
        }
    }

    fn conflict(&mut self, _: tickdeck_arbiter::Conflict) {
        self.conflicts += 1;
    }
}

struct Feed {
    framing: Framing,
    arbiter: Arbiter,
    collector: Collector,
    reader: Reader,
    refused: BTreeMap<&'static str, u64>,
}

impl Feed {
    fn new() -> Self {
        let config = Config {
            start: Start::FirstSeen,
            reorder_window_ns: 30_000,
            reorder_window_min_ns: 10_000,
            ..Config::default()
        };
        Self {
            framing: Framing::eobi(RELEASE),
            arbiter: Arbiter::new(config).expect("a valid configuration"),
            collector: Collector::new(CollectorConfig::default()),
            reader: Reader {
                replayer: Replayer::new(ReplayerConfig::default()),
                books: Books::new(RELEASE),
                waited: Vec::new(),
                lost: 0,
                conflicts: 0,
            },
            refused: BTreeMap::new(),
        }
    }

    /// Brings a packet of a line at its time.
    fn bring(&mut self, timed: &Timed) {
        let now_ns = START_NS + timed.at_ns;
        self.give_up(now_ns);
        if timed.channel == Channel::Snapshot {
            let packet = Packet::parse(&timed.bytes, RELEASE).expect("a packet");
            let reader = &mut self.reader;
            self.collector.on_packet(timed.line, &packet, &mut |cycle| {
                reader.replayer.on_cycle(&cycle, &mut reader.books);
            });
            return;
        }
        match self.framing.frame(timed.line, &timed.bytes, now_ns) {
            Ok(unit) => {
                let arrival = Arrival {
                    source: Source::Line(timed.line),
                    unit,
                    rx_ns: now_ns,
                    stamp: 1,
                    now_ns,
                };
                self.arbiter.on_packet(arrival, &mut self.reader);
            }
            Err(refused) => *self.refused.entry(refused.reason).or_default() += 1,
        }
    }

    /// What no line brought in time is lost: there is nobody to ask.
    fn give_up(&mut self, now_ns: u64) {
        self.arbiter.poll(now_ns, &mut self.reader);
        for gap in std::mem::take(&mut self.reader.waited) {
            self.arbiter
                .give_up(gap, LossReason::Snapshot, now_ns, &mut self.reader);
        }
    }
}

/// Runs a session whose lines lose packets until its last steps; returns what was lost on both
/// lines and which packets were late from before the restart.
fn run(seed: u64) -> (u64, u64) {
    let restart_at = seed.is_multiple_of(2).then_some(300);
    let mut session = Session::new(SessionConfig {
        seed,
        partition_id: seed as u8,
        steps: 900,
        restart_at,
        ..SessionConfig::default()
    });
    let (mut feed, mut random) = (Feed::new(), Random::new(mix(seed, 9)));
    let (mut old, mut restarted, mut stragglers) = (None, false, 0);
    let mut first_is_seen = false;
    for timed in session.by_ref() {
        if let Ok(packet) = Packet::parse(&timed.bytes, RELEASE) {
            restarted |= packet.resets() && timed.channel == Channel::Incremental;
            // One packet from before the restart comes late behind it, on either line.
            if restarted
                && !packet.resets()
                && let Some(bytes) = old.take()
            {
                stragglers += 1;
                feed.bring(&Timed {
                    bytes,
                    channel: Channel::Incremental,
                    ..timed.clone()
                });
            } else if !restarted && timed.channel == Channel::Incremental {
                old = Some(timed.bytes.clone());
            }
            // By packet, so that both lines lose some of the same; heartbeats too.
            let key = u64::from(packet.sequence()) << 1 | u64::from(restarted);
            let is_hit = |salt| Random::new(mix(seed ^ salt, key)).unit() < 0.04;
            let is_lost = is_hit(1) || is_hit(2 + u64::from(timed.line));
            // What resets is let through, as is the very first packet.
            let is_spared = packet.resets() || !first_is_seen || timed.at_ns > 13_000_000;
            first_is_seen = true;
            if is_lost && !is_spared && timed.channel == Channel::Incremental {
                continue;
            }
        }
        if random.below(400) == 0 {
            // A copy that comes again, on the same line.
            feed.bring(&timed);
        }
        feed.bring(&timed);
    }
    feed.give_up(START_NS + 60_000_000_000);
    for product in session.products() {
        let id = product.market_segment_id();
        assert_eq!(feed.reader.replayer.trust(id), Some(Trust::Good), "{seed}");
        let orders = feed.reader.books.products.get(&id).cloned();
        assert!(
            &orders.unwrap_or_default() == product.orders(),
            "{seed}: {id}"
        );
    }
    let counters = feed.reader.replayer.counters();
    assert_eq!(counters.lost_packets, feed.reader.lost, "{seed}");
    assert_eq!((counters.feed_inconsistent, feed.reader.conflicts), (0, 0));
    assert_eq!(counters.stale_packets, 0);
    assert_eq!(counters.restarts, u64::from(restart_at.is_some()));
    let late = feed.refused.get("straggler").copied().unwrap_or(0);
    assert_eq!(late, if restart_at.is_some() { stragglers } else { 0 });
    assert!(feed.refused["technical_heartbeat"] > 0);
    (feed.reader.lost, late)
}

/// Proves over many seeds that the merged stream with its losses, restarts and stragglers leads to
/// the session's orders, and that what is lost is exactly what the replayer misses.
#[test]
fn two_lines_lead_to_the_sessions_orders() {
    let (mut lost, mut late) = (0, 0);
    for seed in 0..24 {
        let of_seed = run(seed);
        lost += of_seed.0;
        late += of_seed.1;
    }
    assert!(lost > 200 && late >= 10, "{lost} lost, {late} late");
}
