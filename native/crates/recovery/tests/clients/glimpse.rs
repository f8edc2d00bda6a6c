//! Snapshots.

use proptest::prelude::*;
use tickdeck_recovery::Fault;
use tickdeck_recovery::glimpse::{Action, GlimpseClient, GlimpseConfig, Snapshot};
use tickdeck_sim::day::{DayConfig, generate};
use tickdeck_sim::lies::{Lie, Server};
use tickdeck_sim::servers::{Feed, Next, Service, SoupServer, snapshot};
use tickdeck_sim::{History, HistoryBuilder, Random, SimError};
use tickdeck_wire::moldudp64::Blocks;

use crate::world::{Circumstances, SESSION};

fn day() -> History {
    let mut builder = HistoryBuilder::default();
    let config = DayConfig {
        messages: 3_000,
        instruments: 4,
        seed: 9,
    };
    generate::<SimError>(config, |message| builder.push(message)).unwrap();
    builder.finish()
}

/// Asks once and waits for the outcome.
fn load(
    config: GlimpseConfig,
    history: &History,
    next_sequence: u64,
    at_least: u64,
    how: Circumstances,
) -> Result<Snapshot, Fault> {
    let mut client = GlimpseClient::new(config);
    let mut random = Random::new(how.seed);
    let mut lies = how.lies(Server::Glimpse);
    let feed = Feed {
        session: SESSION,
        history,
        next_sequence,
    };
    let (mut server, mut pipe, mut now_ns) = (None::<SoupServer>, Vec::new(), 0);
    client.ask(Some(SESSION), at_least, 0);
    for _ in 0..400_000 {
        while let Some(action) = client.poll(now_ns) {
            match action {
                Action::Connect => {
                    server = Some(SoupServer::new(Service::Glimpse, None, now_ns));
                    client.on_connected(now_ns);
                }
                Action::Send(bytes) => {
                    server.as_mut().expect("connected").on_bytes(&bytes, now_ns);
                }
                Action::Close => {
                    server = None;
                    pipe.clear();
                }
                Action::Loaded(snapshot) => return Ok(snapshot),
                Action::Failed { fault, .. } => return Err(fault),
            }
        }
        let deadline_ns = client.next_deadline_ns().expect("under way");
        let Some(open) = server.as_mut() else {
            now_ns = now_ns.max(deadline_ns);
            continue;
        };
        let mut draw = || lies.draw(Server::Glimpse, now_ns);
        let next = if pipe.is_empty() {
            open.poll(feed, &mut draw, now_ns, &mut pipe)
        } else {
            Next::More
        };
        if random.chance(how.breaks) || (pipe.is_empty() && next == Next::Close) {
            server = None;
            pipe.clear();
            client.on_closed(now_ns);
        } else if pipe.is_empty() {
            if let Next::Wait { until_ns } = next {
                now_ns = now_ns.max(deadline_ns.min(until_ns));
            }
        } else {
            let length = (1 + random.below(how.chunk)).min(pipe.len() as u64) as usize;
            let chunk: Vec<u8> = pipe.drain(..length).collect();
            now_ns += 1_000;
            client.on_bytes(&chunk, now_ns);
        }
    }
    panic!("no outcome");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Proves that a snapshot is loaded whole, whatever the chunks, or not at all: breaks are
    /// named and leave nothing.
    #[test]
    fn a_snapshot_is_whole_or_none(
        seed in any::<u64>(),
        next_sequence in 1u64..3_000,
        chunk in 1u64..5_000,
        breaks in prop_oneof![Just(0.0), Just(0.005)],
    ) {
        let history = day();
        let how = Circumstances { chunk, breaks, ..Circumstances::fair(seed) };
        match load(GlimpseConfig::default(), &history, next_sequence, 1, how) {
            Ok(loaded) => {
                prop_assert_eq!(loaded.resume_sequence, next_sequence);
                let truth = snapshot(&history, next_sequence);
                prop_assert_eq!(loaded.messages + 1, truth.messages());
                let same = (1..).zip(Blocks::new(&loaded.blocks));
                for (number, message) in same {
                    prop_assert_eq!(Some(message), truth.message(number));
                }
                let orders = Blocks::new(&loaded.blocks).filter(|m| matches!(m[0], b'A' | b'F'));
                prop_assert_eq!(loaded.orders, orders.count() as u64);
            }
            Err(fault) => {
                prop_assert!(breaks > 0.0);
                prop_assert!(matches!(fault, Fault::Disconnected | Fault::Truncated));
            }
        }
    }

    /// Proves for each lie that no snapshot comes of it and that the fault is named by its word.
    #[test]
    fn no_lie_becomes_a_snapshot(seed in any::<u64>(), chunk in 1u64..5_000) {
        let history = day();
        for lie in Lie::ALL {
            let how = Circumstances {
                chunk,
                lie: Some(lie),
                delay_ns: 20_000_000_000,
                ..Circumstances::fair(seed)
            };
            let fault = load(GlimpseConfig::default(), &history, 2_500, 2_400, how).unwrap_err();
            prop_assert_eq!(fault.name(), lie.name());
        }
    }
}

/// Proves that a snapshot beyond the wanted size is refused, and one of exactly that size taken.
#[test]
fn the_size_is_bounded() {
    let history = day();
    let fair = Circumstances::fair(1);
    let whole = load(GlimpseConfig::default(), &history, 2_000, 2_000, fair).unwrap();
    let sized = |max_bytes| GlimpseConfig {
        max_bytes,
        ..GlimpseConfig::default()
    };
    let size = whole.blocks.len();
    assert_eq!(load(sized(size), &history, 2_000, 1, fair), Ok(whole));
    assert_eq!(
        load(sized(size - 1), &history, 2_000, 1, fair),
        Err(Fault::Oversize)
    );
    let stale = load(sized(size), &history, 2_000, 2_001, fair);
    assert_eq!(stale, Err(Fault::Stale));
}
