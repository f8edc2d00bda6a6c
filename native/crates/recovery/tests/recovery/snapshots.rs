//! When ranges do not help: snapshots, storms, and what operators decide.

use tickdeck_recovery::{Action, Config, Engine, Fault, LossReason, RangeSource, SnapshotReason};

use crate::support::{MS, SESSION, brought, config, open, run_until, wanted};

const SECOND: u64 = 1000 * MS;

fn with_snapshot() -> Config {
    Config {
        snapshot: true,
        retry_attempts: 2,
        snapshot_attempts: 2,
        storm_gaps: 4,
        gap_capacity: 1000,
        ..config()
    }
}

fn snapshot(reason: SnapshotReason, id: u64, gaps: usize) -> Option<Action> {
    Some(Action::Snapshot { reason, id, gaps })
}

fn given_up(id: u64, reason: LossReason, fault: Fault) -> Option<Action> {
    Some(Action::GiveUp { id, reason, fault })
}

/// One snapshot for all hopeless gaps; those below where it resumes are lost to it, the others
/// wait for another.
#[test]
fn a_snapshot_stands_in_for_what_no_source_brings() {
    let mut engine = Engine::new(with_snapshot());
    open(&mut engine, 1, 10, 12, 0);
    open(&mut engine, 2, 20, 30, 0);
    let mut now_ns = 0;
    let (requests, action) = run_until(&mut engine, &mut now_ns, SECOND);
    assert!(requests.len() >= 2);
    assert_eq!(action, snapshot(SnapshotReason::Exhausted, 1, 2));
    assert_eq!(engine.awaiting_snapshot().collect::<Vec<_>>(), [1, 2]);
    assert_eq!(
        run_until(&mut engine, &mut now_ns, SECOND),
        (vec![], None),
        "told once"
    );
    engine.snapshot_done(25, now_ns);
    let of_snapshot = given_up(1, LossReason::Snapshot, Fault::Silent);
    assert_eq!(engine.poll(now_ns), of_snapshot);
    assert_eq!(
        engine.poll(now_ns),
        snapshot(SnapshotReason::Exhausted, 2, 1)
    );
    engine.snapshot_done(31, now_ns);
    assert_eq!(
        engine.poll(now_ns),
        given_up(2, LossReason::Snapshot, Fault::Silent)
    );
    assert_eq!((engine.open_gaps(), engine.next_deadline_ns()), (0, None));
}

/// A snapshot that fails, or is older than what is missing, is tried again after a backoff; then
/// the gaps are given up. Its fault is named.
#[test]
fn a_snapshot_that_fails_is_tried_again() {
    let mut engine = Engine::new(with_snapshot());
    open(&mut engine, 1, 10, 12, 0);
    let mut now_ns = 0;
    run_until(&mut engine, &mut now_ns, SECOND);
    let failed_ns = now_ns;
    engine.snapshot_failed(Fault::Truncated, now_ns);
    assert_eq!(engine.fault_of(1), Some(Fault::Truncated));
    let (_, action) = run_until(&mut engine, &mut now_ns, SECOND);
    assert_eq!(action, snapshot(SnapshotReason::Exhausted, 1, 1));
    assert_eq!(now_ns, failed_ns + 20 * MS);
    engine.snapshot_done(5, now_ns);
    let stale = given_up(1, LossReason::AttemptsExhausted, Fault::Stale);
    assert_eq!(engine.poll(now_ns), stale);
    assert_eq!(engine.counters().snapshot_failures, 2);
}

/// An answer that comes while a snapshot is awaited is taken.
#[test]
fn an_answer_is_taken_in_spite_of_a_snapshot() {
    let mut engine = Engine::new(with_snapshot());
    open(&mut engine, 1, 10, 12, 0);
    let mut now_ns = 0;
    run_until(&mut engine, &mut now_ns, SECOND);
    assert!(engine.snapshot_runs());
    let verdict = engine.on_answer(RangeSource::Request, brought(10, 3), now_ns);
    assert_eq!(verdict, wanted(10, 12));
    assert!(engine.narrowed(1, 10, 12, now_ns).is_some());
    engine.snapshot_done(100, now_ns);
    assert_eq!(engine.poll(now_ns), None);
}

/// Above the threshold ranges are not asked for any more: one snapshot for all, also for gaps
/// that open during the storm. It ends below the half.
#[test]
fn a_storm_goes_to_the_snapshot() {
    let mut engine = Engine::new(with_snapshot());
    for id in 1..=5 {
        open(&mut engine, id, id * 10, id * 10, 0);
    }
    assert_eq!(engine.poll(0), snapshot(SnapshotReason::Storm, 1, 5));
    assert!(engine.storm());
    open(&mut engine, 6, 60, 60, MS);
    let mut now_ns = MS;
    assert_eq!(run_until(&mut engine, &mut now_ns, SECOND), (vec![], None));
    engine.snapshot_done(55, now_ns);
    for id in 1..=5 {
        let of_snapshot = given_up(id, LossReason::Snapshot, Fault::None);
        assert_eq!(engine.poll(now_ns), of_snapshot);
    }
    let (requests, action) = run_until(&mut engine, &mut now_ns, SECOND);
    assert_eq!(
        (requests.len(), action),
        (0, snapshot(SnapshotReason::Storm, 6, 1))
    );
    assert!(!engine.storm());
}

/// In a storm a snapshot that keeps failing costs nothing: the ranges are asked for after all.
#[test]
fn a_storm_without_its_snapshot_goes_back_to_ranges() {
    let mut engine = Engine::new(with_snapshot());
    for id in 1..=5 {
        open(&mut engine, id, id * 10, id * 10, 0);
    }
    let mut now_ns = 0;
    for _ in 0..2 {
        let (requests, action) = run_until(&mut engine, &mut now_ns, SECOND);
        assert_eq!(
            (requests.len(), action),
            (0, snapshot(SnapshotReason::Storm, 1, 5))
        );
        engine.snapshot_failed(Fault::Disconnected, now_ns);
    }
    let until_ns = now_ns;
    let (requests, action) = run_until(&mut engine, &mut now_ns, until_ns);
    assert_eq!(requests, [(RangeSource::Request, 1, 10, 41)]);
    assert_eq!(action, None);
}

/// An operator's snapshot needs no gap, and takes a gap off its source; an operator's loss is a
/// loss with that reason; an operator's retry takes a gap back from the snapshot.
#[test]
fn operators_decide() {
    let mut engine = Engine::new(with_snapshot());
    assert_eq!(engine.snapshot_now(None, 0), 0);
    assert_eq!(engine.poll(0), snapshot(SnapshotReason::Operator, 0, 0));
    engine.snapshot_done(7, 0);
    assert_eq!(engine.poll(0), None);
    open(&mut engine, 1, 10, 12, 0);
    open(&mut engine, 2, 20, 29, 0);
    assert_eq!(engine.snapshot_now(Some(9), 0), 0);
    assert_eq!(engine.snapshot_now(Some(1), 0), 1);
    assert_eq!(engine.poll(0), snapshot(SnapshotReason::Operator, 1, 1));
    assert_eq!(engine.retry_now(Some(1), 0), 1);
    assert_eq!(engine.awaiting_snapshot().count(), 0);
    assert_eq!(engine.accept_loss(2), Some(10));
    assert_eq!(engine.accept_loss(2), None);
    assert_eq!(
        engine.poll(0),
        given_up(2, LossReason::Operator, Fault::None)
    );
    let mut engine = Engine::new(config());
    open(&mut engine, 1, 10, 12, 0);
    assert_eq!(engine.snapshot_now(None, 0), 0, "there is none");
    assert!(matches!(
        engine.poll(0),
        Some(Action::Request {
            session: SESSION,
            ..
        })
    ));
}

/// Without any source a gap goes to the snapshot at once, or is given up with that reason.
#[test]
fn without_a_source() {
    let config = Config {
        sources: Vec::new(),
        ..with_snapshot()
    };
    let mut engine = Engine::new(config.clone());
    open(&mut engine, 1, 10, 12, 0);
    assert_eq!(engine.poll(0), snapshot(SnapshotReason::Exhausted, 1, 1));
    let mut engine = Engine::new(Config {
        snapshot: false,
        ..config
    });
    open(&mut engine, 1, 10, 12, 0);
    assert_eq!(
        engine.poll(0),
        given_up(1, LossReason::NoRecoverySource, Fault::None)
    );
}
