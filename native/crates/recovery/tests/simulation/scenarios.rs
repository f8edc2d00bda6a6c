//! What the recovery must show, each in a run of its own, with times as on a real network.

use tickdeck_arbiter::LossReason;
use tickdeck_recovery::{Fault, RangeSource, SourceConfig};

use crate::network::Line;
use crate::plan::Plan;
use crate::report::Report;
use crate::servers::{Manner, Server};
use crate::snapshots::{SnapshotServer, Use};
use crate::world::{MS, World};

/// A packet each 20 µs: 200,000 messages per second in packets of 1 to 8.
const FULL_RATE_NS: u64 = MS / 50;

fn run(plan: Plan) -> Report {
    World::new(plan).run()
}

fn lost(report: &Report) -> u64 {
    report.count("lost")
}

fn source(kind: RangeSource) -> SourceConfig {
    SourceConfig {
        kind,
        ..match kind {
            RangeSource::Request => SourceConfig::request(),
            _ => SourceConfig::stream(),
        }
    }
}

/// Asked of one server only.
fn served_by(plan: Plan, server: Server) -> Plan {
    Plan {
        recovery: tickdeck_recovery::Config {
            sources: vec![source(server.kind)],
            ..plan.recovery.clone()
        },
        servers: vec![server],
        ..plan
    }
}

/// Line A is cut for 200 ms at full rate: line B carries on alone, nothing is lost, nothing is
/// asked for, and nothing comes twice.
#[test]
fn a_cut_of_one_line_costs_nothing() {
    let mut plan = Plan::quiet(150_000, FULL_RATE_NS);
    plan.lines[0] = Line::quiet(MS / 20).cut(100 * MS, 300 * MS);
    let report = run(plan);
    assert_eq!((lost(&report), report.count("delivered")), (0, 150_000));
    assert_eq!(
        (report.count("requests"), report.count("conflicts")),
        (0, 0)
    );
    let cut = 150_000 - report.count("duplicates");
    assert!(
        (40_000..60_000).contains(&cut),
        "{cut} came once, in 200 ms"
    );
}

/// About a thousand messages are lost on both lines at full rate; each kind of source brings them
/// within 250 ms, in sequence, with an answer after 1 ms.
#[test]
fn a_thousand_messages_are_back_in_time() {
    for kind in RangeSource::ALL {
        let mut plan = Plan::quiet(60_000, FULL_RATE_NS);
        for line in &mut plan.lines {
            *line = line.clone().cut(100 * MS, 105 * MS);
        }
        let mut server = Server::new(kind, Manner::Working);
        server.delay_ns = MS;
        // More answers than fit the time at the least interval: each allows the next request.
        server.messages_per_packet = 10;
        let report = run(served_by(plan, server));
        assert_eq!((lost(&report), report.count("delivered")), (0, 60_000));
        let brought = report.count(&format!("in gaps by {}", kind.name()));
        assert!((800..1500).contains(&brought), "{brought} were missing");
        assert!(
            report.slowest_ns < 250 * MS,
            "{kind:?} took {} ms",
            report.slowest_ns / MS
        );
    }
}

/// More than a hundred gaps are open at once, a storm without a snapshot: all are filled.
#[test]
fn a_hundred_gaps_at_once_are_filled() {
    for kind in RangeSource::ALL {
        let mut plan = Plan::quiet(20_000, FULL_RATE_NS);
        plan.storms = vec![(20 * MS, 30 * MS)];
        let mut server = Server::new(kind, Manner::Working);
        server.delay_ns = 15 * MS;
        let report = run(served_by(plan, server));
        assert_eq!((lost(&report), report.count("delivered")), (0, 20_000));
        assert!(report.count("gaps_filled") > 100);
        assert!(report.count("storms") > 0, "64 were open at once");
        assert!(
            report.count("joined") > 60,
            "neighbours are asked for together"
        );
        assert!(
            report.slowest_ns < 250 * MS,
            "{kind:?} took {} ms",
            report.slowest_ns / MS
        );
    }
}

/// A server that lies in one way, always: the rows name that lie and no other, no wrong byte
/// passes, and what it does not bring is an explicit loss.
#[test]
fn every_lie_is_named() {
    for kind in RangeSource::ALL {
        for lie in &Fault::ALL[1..] {
            let mut plan = Plan::quiet(4_000, 5 * MS);
            plan.common_loss_permille = 20;
            // Long enough that what is slow still finds its gap open.
            plan.recovery.retry_attempts = if *lie == Fault::Slow { 20 } else { 2 };
            plan.recovery.coalesce_messages = 0;
            // To repeat an answer a server must have given one.
            let permille = if *lie == Fault::Stale { 500 } else { 1000 };
            let server = Server::new(kind, Manner::Lying(Some(*lie), permille));
            let report = run(served_by(plan, server));
            let name = lie.name();
            assert!(
                report.count(&format!("rows with {name}")) > 0,
                "{name} of {kind:?}"
            );
            for other in Fault::ALL {
                let rows = report.count(&format!("rows with {}", other.name()));
                assert!(
                    rows == 0 || may_also_be(*lie, other),
                    "{rows} rows say {} of a {kind:?} that is {name}",
                    other.name()
                );
            }
            let explicit = report.count("lost for attempts_exhausted");
            assert_eq!(lost(&report), explicit, "{name} of {kind:?}");
            assert_eq!(report.count("delivered") + explicit, 4_000);
        }
    }
}

/// What a row may say of a server that tells this lie: a part of a request that was not brought
/// is waited for in silence, and a gap may close before anything was wrong.
fn may_also_be(lie: Fault, named: Fault) -> bool {
    let others: &[Fault] = match lie {
        Fault::Slow | Fault::Partial => &[Fault::Silent],
        // The answer to the question before is what a slow server sends as well.
        Fault::Stale => &[Fault::Silent, Fault::Slow],
        // The connection breaks after a part.
        Fault::Disconnected => &[Fault::Partial],
        _ => &[],
    };
    named == Fault::None || named == lie || others.contains(&named)
}

/// A source that lies is passed over: the next one brings everything.
#[test]
fn the_next_source_makes_up_for_a_liar() {
    for lie in &Fault::ALL[1..] {
        let mut plan = Plan::quiet(4_000, MS / 5);
        plan.common_loss_permille = 20;
        plan.recovery.retry_attempts = 2;
        plan.recovery.sources = vec![source(RangeSource::Request), source(RangeSource::Peer)];
        plan.servers = vec![
            Server::new(RangeSource::Request, Manner::Lying(Some(*lie), 1000)),
            Server::new(RangeSource::Peer, Manner::Working),
        ];
        let report = run(plan);
        assert_eq!(
            (lost(&report), report.count("delivered")),
            (0, 4_000),
            "{lie:?}"
        );
        assert!(
            report.slowest_ns < 2_000 * MS,
            "{lie:?}: {} ms",
            report.slowest_ns / MS
        );
    }
}

/// A session ends with a gap open: what it asks for still comes before the end is told.
#[test]
fn a_session_ends_with_an_open_gap() {
    let mut plan = Plan::quiet(500, MS / 5);
    for line in &mut plan.lines {
        *line = line.clone().cut(10 * MS, 40 * MS);
    }
    plan.servers[0].delay_ns = 40 * MS;
    let report = run(plan.clone());
    assert_eq!((lost(&report), report.count("delivered")), (0, 500));
    assert!(report.count("requests") > 0);
    plan.servers[0].manner = Manner::Silent;
    let report = run(plan);
    assert_eq!(lost(&report), report.count("lost for attempts_exhausted"));
    assert!(lost(&report) > 0);
}

/// The last packets of a session are lost on both lines: only a heartbeat reveals the gap.
#[test]
fn a_heartbeat_reveals_a_gap() {
    let mut plan = Plan::quiet(100, MS);
    plan.parts[0].ends = false;
    for line in &mut plan.lines {
        *line = line.clone().cut(10 * MS, 48 * MS);
    }
    let report = run(plan);
    assert_eq!((lost(&report), report.count("delivered")), (0, 100));
    assert_eq!(report.count("gaps_filled"), 1);
}

/// A storm with a snapshot: no range is asked for, the output stops where the snapshot resumes
/// and goes on, and what was missing is lost to the snapshot.
#[test]
fn a_storm_is_left_to_the_snapshot() {
    for used in [Use::Stop, Use::GoOn] {
        let mut plan = Plan::quiet(20_000, FULL_RATE_NS);
        plan.storms = vec![(20 * MS, 30 * MS)];
        plan.servers[0].delay_ns = 15 * MS;
        plan.recovery.snapshot = true;
        plan.snapshot = Some(SnapshotServer {
            manner: Manner::Working,
            used,
            delay_ns: 5 * MS,
        });
        let report = run(plan);
        assert!(report.snapshots_taken > 0 && report.count("storms") > 0);
        assert!(lost(&report) > 0);
        let of_snapshot = report.count(&format!("lost for {}", LossReason::Snapshot.name()));
        assert_eq!(lost(&report), of_snapshot);
        assert_eq!(report.count("delivered") + of_snapshot, 20_000);
        assert_eq!(report.stops > 0, used == Use::Stop);
    }
}
