//! Everything that a run is made of, drawn from its seed or chosen by a scenario.

use tickdeck_arbiter::Start;
use tickdeck_recovery::{RangeSource, SourceConfig};
use tickdeck_wire::moldudp64::Session;

use crate::network::Line;
use crate::random::Random;
use crate::servers::{Manner, Server};
use crate::snapshots::SnapshotServer;
use crate::world::MS;

/// Further ahead than any real packet ever is.
pub(crate) const MAX_JUMP: u64 = 5_000;

/// One session of the venue.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) session: Session,
    pub(crate) messages: u64,
    pub(crate) ends: bool,
}

/// The parameters of a run.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) parts: Vec<Part>,
    pub(crate) lines: Vec<Line>,
    /// Mean time between two packets.
    pub(crate) interval_ns: u64,
    pub(crate) most_messages_per_packet: u64,
    /// Packets that no line brings, of 1,000.
    pub(crate) common_loss_permille: u64,
    /// When every second packet is lost on all lines.
    pub(crate) storms: Vec<(u64, u64)>,
    /// Answers that are lost between the recovery and the merge.
    pub(crate) injection_loss_permille: u64,
    pub(crate) injection_jitter_ns: u64,
    /// Packets that nobody sent, of 1,000.
    pub(crate) forgery_permille: u64,
    /// Packets that a line repeats with other bytes, of 1,000.
    pub(crate) conflict_permille: u64,
    /// Steps of the wall clock, of 1,000 packets.
    pub(crate) clock_step_permille: u64,
    /// Orders of an operator.
    pub(crate) orders: Vec<u64>,
    pub(crate) merge: tickdeck_arbiter::Config,
    pub(crate) recovery: tickdeck_recovery::Config,
    /// In the order of `recovery.sources`.
    pub(crate) servers: Vec<Server>,
    pub(crate) snapshot: Option<SnapshotServer>,
}

impl Plan {
    /// Two lines that lose nothing, one server that works, `messages` in one session: what a
    /// scenario begins with.
    pub(crate) fn quiet(messages: u64, interval_ns: u64) -> Self {
        let server = Server::new(RangeSource::Request, Manner::Working);
        Self {
            seed: 1,
            parts: vec![Part {
                session: Session(*b"MONDAY    "),
                messages,
                ends: true,
            }],
            lines: vec![Line::quiet(MS / 20), Line::quiet(MS / 10)],
            interval_ns,
            most_messages_per_packet: 8,
            common_loss_permille: 0,
            storms: Vec::new(),
            injection_loss_permille: 0,
            injection_jitter_ns: 0,
            forgery_permille: 0,
            conflict_permille: 0,
            clock_step_permille: 0,
            orders: Vec::new(),
            merge: tickdeck_arbiter::Config {
                hold_capacity_packets: 8192,
                max_packet_bytes: 8000,
                start: Start::SessionStart,
                ..tickdeck_arbiter::Config::default()
            },
            recovery: tickdeck_recovery::Config::default(),
            servers: vec![server],
            snapshot: None,
        }
    }

    pub(crate) fn random(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let interval_ns = random.pick(&[MS / 50, MS / 5, 2 * MS]);
        let messages = random.between(50, 600);
        let duration_ns = interval_ns * messages / 4;
        let servers = servers(&mut random);
        let snapshot = random
            .chance(400)
            .then(|| SnapshotServer::random(&mut random));
        let lines = random.pick(&[2, 2, 2, 3]);
        let gap_capacity = random.pick(&[1, 4, 64, 256]);
        let storms = (0..random.pick(&[0, 0, 1, 2])).map(|_| {
            let start_ns = random.between(0, duration_ns);
            (start_ns, start_ns + random.between(1, duration_ns / 3))
        });
        let storms = storms.collect();
        let orders = (0..random.pick(&[0, 0, 0, 3])).map(|_| random.between(0, 2 * duration_ns));
        let orders = orders.collect();
        Self {
            seed,
            parts: parts(&mut random, messages),
            lines: (0..lines)
                .map(|_| Line::new(&mut random, duration_ns))
                .collect(),
            interval_ns,
            most_messages_per_packet: 8,
            common_loss_permille: random.pick(&[0, 10, 100]),
            storms,
            injection_loss_permille: random.pick(&[0, 0, 100]),
            injection_jitter_ns: random.pick(&[MS / 100, MS / 100, 10 * MS]),
            forgery_permille: random.pick(&[0, 0, 5, 50]),
            conflict_permille: random.pick(&[0, 0, 20]),
            clock_step_permille: random.pick(&[0, 5]),
            orders,
            merge: merge(&mut random, lines, gap_capacity),
            recovery: recovery(&mut random, &servers, snapshot.is_some(), gap_capacity),
            servers,
            snapshot,
        }
    }

    /// Whether some server works: then nothing may be lost for want of an answer.
    pub(crate) fn is_served(&self) -> bool {
        let mut servers = self.servers.iter();
        servers.any(|server| server.manner == Manner::Working)
    }

    /// Whether every server works: then only the network can be blamed.
    pub(crate) fn is_honest(&self) -> bool {
        let mut servers = self.servers.iter();
        servers.all(|server| server.manner == Manner::Working)
    }
}

fn servers(random: &mut Random) -> Vec<Server> {
    let mut kinds = Vec::new();
    for (kind, permille) in [
        (RangeSource::Request, 750),
        (RangeSource::Stream, 300),
        (RangeSource::Peer, 300),
    ] {
        if random.chance(permille) {
            let at = random.between(0, kinds.len() as u64) as usize;
            kinds.insert(at, kind);
        }
    }
    let server = |kind| Server::random(random, kind);
    kinds.into_iter().map(server).collect()
}

fn parts(random: &mut Random, messages: u64) -> Vec<Part> {
    let mut parts = vec![Part {
        session: Session(*b"MONDAY    "),
        messages,
        ends: random.chance(700),
    }];
    if random.chance(300) {
        parts.push(Part {
            session: Session(*b"TUESDAY   "),
            messages: random.between(20, 100),
            ends: true,
        });
    }
    parts
}

fn merge(random: &mut Random, lines: usize, gap_capacity: usize) -> tickdeck_arbiter::Config {
    let reorder_window_ns = random.pick(&[0, MS, 5 * MS]);
    tickdeck_arbiter::Config {
        lines,
        reorder_window_ns,
        reorder_window_min_ns: random.pick(&[0, reorder_window_ns]),
        reorder_window_packets: random.pick(&[0, 2, 16]),
        compare_bytes: random.pick(&[0, 1 << 12, 1 << 19]),
        hold_capacity_packets: random.pick(&[1, 3, 16, 256]),
        gap_capacity,
        max_packet_bytes: 8000,
        session_takeover_ns: 3_000 * MS,
        max_jump_messages: MAX_JUMP,
        start: random.pick(&[Start::SessionStart, Start::FirstSeen]),
        ..tickdeck_arbiter::Config::default()
    }
}

fn recovery(
    random: &mut Random,
    servers: &[Server],
    snapshot: bool,
    gap_capacity: usize,
) -> tickdeck_recovery::Config {
    let mut is_served = false;
    let sources = servers.iter().map(|server| {
        is_served |= server.manner == Manner::Working;
        SourceConfig {
            kind: server.kind,
            max_messages_per_request: random.pick(&[1, 20, 2000]),
            request_timeout_ns: random.between(5, 50) * MS,
        }
    });
    tickdeck_recovery::Config {
        sources: sources.collect(),
        snapshot,
        snapshot_attempts: random.between(1, 4) as u32,
        min_request_interval_ns: random.pick(&[0, MS, 5 * MS]),
        retry_attempts: if is_served { 60 } else { 5 },
        retry_backoff_ns: random.between(0, 20) * MS,
        retry_backoff_max_ns: random.between(20, 200) * MS,
        slo_ns: 500 * MS,
        coalesce_messages: random.pick(&[0, 4, 64]),
        storm_gaps: random.pick(&[0, 3, 10]),
        source_rest_ns: random.pick(&[0, 5_000 * MS]),
        gap_capacity,
    }
}
