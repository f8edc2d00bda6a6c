//! The gap ledger of a worker as a process: in the stats file while it is there and after it was
//! killed, in the journal for ever, and what operators do to gaps.

use serde_json::{Value, json};
use tickdeck_stats::{GapRow, GapState};

use crate::plant::{Entry, Plant, Worker};

/// Killed with a gap open: the old stats file still has the row with its states and times, the
/// next incarnation finds the same range missing and has it filled, and the journal tells both.
#[test]
fn killed_with_an_open_gap() {
    let mut plant = patient_plant();
    let worker = plant.start();
    late_on_line_a(&plant, &worker);
    plant.send_both(8, 9);
    plant.request();
    wait_for_row(&worker, 2, |row| row.attempts == 1 && row.lines_missed == 3);
    let noted = json!({"gap_id": 2, "actor": "ops", "note": "venue called"});
    assert_eq!(
        worker.call("recovery.annotate", &noted)["result"],
        json!({"gap_id": 2})
    );
    worker.kill();
    let left = plant.stats_of(1);
    let row = left.gaps()[1];
    assert_eq!(left.torn_gaps(), 0);
    assert_eq!(
        (row.id, row.first, row.last, row.state),
        (2, 5, 7, GapState::Requested)
    );
    let times = [row.detected_ns, row.waited_ns, row.requested_ns];
    assert!(times.is_sorted() && times[0] > 0, "{times:?}");
    assert_eq!((row.missing, row.lines_missed, row.closed_ns), (3, 3, 0));
    assert_eq!((row.noted, row.channel), (true, 7));

    let worker = plant.start();
    plant.send_both(8, 9);
    plant.answer_until(&worker, 10, 3);
    worker.wait_for("gaps_filled_total", "", 1);
    worker.stop();
    assert_eq!(
        plant.stats_of(1).gaps()[1],
        row,
        "the last words of the one that died"
    );
    assert_eq!(plant.journalled_messages(), 9);
    let ledger = plant.ledger();
    let of = |key: &str| {
        ledger
            .iter()
            .map(|gap| gap[key].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(of("incarnation_number"), [json!(1), json!(1), json!(2)]);
    assert_eq!(of("state"), ["filled", "open", "filled"]);
    assert_eq!(of("left_open"), [json!(false), json!(true), json!(false)]);
    let uuid = |last: u32| json!(format!("00000000-0000-4000-8000-{last:012}"));
    assert_eq!(of("incarnation"), [uuid(1), uuid(1), uuid(2)]);
    let open = &ledger[1];
    assert_eq!(
        open["continued_by"],
        json!([{"incarnation_number": 2, "gap_id": 1}])
    );
    assert_eq!(open["notes"][0]["note"], "venue called");
    assert_eq!((&open["first"], &open["last"]), (&json!(5), &json!(7)));
    assert!(of("contradictions").iter().all(|found| *found == json!([])));
}

/// A gap that one line was late with is told from one that both lines lost: by name, by who
/// brought it, and where it was lost.
#[test]
fn late_on_one_line_and_lost_on_both() {
    let mut plant = patient_plant();
    plant.set("/exchange/recovery/retry_attempts", json!(100));
    let worker = plant.start();
    late_on_line_a(&plant, &worker);
    plant.send_both(8, 9);
    plant.answer_until(&worker, 10, 2);
    // The verdict of the ladder may come when the gap is closed already.
    wait_for_row(&worker, 2, |row| row.drop_layer != 0);
    worker.stop();
    let ledger = plant.ledger();
    assert_eq!(ledger.len(), 2);
    let [late, lost] = &ledger[..] else {
        panic!("two gaps");
    };
    assert_eq!(
        (&late["lost_on"], &late["lines_missed"]),
        (&json!("one"), &json!(["A"]))
    );
    assert_eq!(
        (&late["by_line_a"], &late["by_line_b"]),
        (&json!(0), &json!(2))
    );
    assert_eq!(
        (&late["sources"], &late["attempts"]),
        (&json!(["B"]), &json!(0))
    );
    assert_eq!(
        (&lost["lost_on"], &lost["lines_missed"]),
        (&json!("all"), &json!(["A", "B"]))
    );
    assert_eq!(
        (&lost["by_request"], &lost["missing"]),
        (&json!(3), &json!(0))
    );
    assert_eq!(lost["sources"], json!(["request"]));
    assert_ne!(lost["drop_verdict"], "");
    assert_eq!(
        (&lost["session"], &lost["channel"]),
        (&json!("DEMO000001"), &json!(7))
    );
    let times = [
        "detected_ns",
        "waited_ns",
        "requested_ns",
        "partial_ns",
        "closed_ns",
    ];
    let times = times.map(|key| lost[key].as_u64().expect("a time"));
    assert!(times.is_sorted(), "{times:?}");
    assert!(lost["requested_last_ns"].as_u64() >= lost["requested_ns"].as_u64());
}

/// An operator gives a gap up: the loss is told in its place with his name and reason in the
/// ledger, nobody asks for it any more, and the policy "halt" does not stop the worker for it.
#[test]
fn accepted_loss() {
    let mut plant = Plant::new();
    plant.set("/exchange/recovery/unrecoverable_policy", json!("halt"));
    let worker = plant.start();
    plant.send_both(1, 1);
    plant.send_both(4, 5);
    plant.send_both(8, 8);
    plant.request();
    wait_for_row(&worker, 2, |row| row.attempts == 1);
    let accept = |id: u64| {
        let args = json!({"gap_id": id, "actor": "ops", "reason": "not worth it"});
        worker.call("recovery.accept_loss", &args)
    };
    // The second of two: the output does not come to it before the first is closed.
    assert_eq!(accept(2)["result"], json!({"gaps": 1, "messages": 2}));
    assert_eq!(accept(2)["error"]["code"], "NOT_FOUND");
    assert_eq!(worker.value("arbiter_next_sequence", ""), 2);
    let retry = worker.call("recovery.start", &json!({"gap_id": 2}));
    assert_eq!(
        retry["error"]["code"], "NOT_FOUND",
        "the recovery has forgotten it"
    );
    assert_eq!(accept(1)["result"], json!({"gaps": 1, "messages": 2}));
    worker.wait_for("arbiter_next_sequence", "", 9);
    assert_eq!(accept(1)["error"]["code"], "NOT_FOUND");
    worker.stop();
    let told = &plant.journal()[1..];
    assert!(
        told.contains(&Entry::Lost(2, 3)) && told.contains(&Entry::Lost(6, 7)),
        "{told:?}"
    );
    for gap in plant.ledger() {
        assert_eq!(
            (&gap["state"], &gap["reason"]),
            (&json!("unrecoverable"), &json!("operator"))
        );
        assert_eq!(
            (&gap["messages_lost"], &gap["noted"]),
            (&json!(2), &json!(true))
        );
        let note = &gap["notes"][0];
        assert_eq!(
            (&note["actor"], &note["note"]),
            (&json!("ops"), &json!("loss accepted: not worth it"))
        );
        assert_eq!(gap["contradictions"], json!([]));
    }
}

/// A note on a closed gap is kept; one on a gap that never was, or that says nothing, is refused.
#[test]
fn notes() {
    let mut plant = patient_plant();
    let worker = plant.start();
    late_on_line_a(&plant, &worker);
    let annotate = |args: Value| worker.call("recovery.annotate", &args);
    let noted = annotate(json!({"gap_id": 1, "actor": "ops", "note": "line card swapped"}));
    assert_eq!(noted["result"], json!({"gap_id": 1}));
    wait_for_row(&worker, 1, |row| row.noted);
    let code = |args: Value| annotate(args)["error"]["code"].clone();
    assert_eq!(
        code(json!({"gap_id": 2, "actor": "ops", "note": "x"})),
        "NOT_FOUND"
    );
    assert_eq!(code(json!({"actor": "ops", "note": "x"})), "INVALID_ARGS");
    assert_eq!(code(json!({"gap_id": 1, "note": "x"})), "INVALID_ARGS");
    assert_eq!(
        code(json!({"gap_id": 1, "actor": "ops", "note": " "})),
        "INVALID_ARGS"
    );
    let long = "x".repeat(513);
    assert_eq!(
        code(json!({"gap_id": 1, "actor": "ops", "note": long})),
        "INVALID_ARGS"
    );
    worker.stop();
    let ledger = plant.ledger();
    assert_eq!(ledger[0]["state"], "filled");
    let notes: Vec<&str> = ledger[0]["notes"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|note| note["note"].as_str())
        .collect();
    assert_eq!(notes, ["line card swapped"]);
}

/// Killed again and again with gaps open, with gaps just closed, and with rows not yet journalled:
/// the ledger never contradicts the stream, and what it calls open was left by a worker that died.
#[test]
fn killed_at_any_moment() {
    let mut plant = Plant::new();
    plant.set("/exchange/recovery/retry_attempts", json!(100));
    let (mut next, mut killed) = (1, 0);
    for round in 0..5 {
        let worker = plant.start();
        for place in 0..20 + round * 7 {
            if place % 4 != 3 {
                plant.send_both(next, next + 4);
            }
            next += 5;
        }
        plant.send_both(next, next);
        next += 1;
        let answered = worker.value("arbiter_next_sequence", "") + 10 * round;
        plant.answer_until(&worker, answered.min(next), 3);
        killed += 1;
        worker.kill();
    }
    let worker = plant.start();
    plant.heartbeat(0, next);
    plant.heartbeat(1, next);
    worker.wait_for("session_state", "", 1);
    plant.answer_until(&worker, next, 100);
    worker.stop();
    assert_eq!(plant.journalled_messages(), next - 1);
    let ledger = plant.ledger();
    let opened = plant
        .journal()
        .into_iter()
        .filter(|entry| matches!(entry, Entry::Opened(..)));
    assert_eq!(ledger.len(), opened.count(), "one row for each gap");
    assert!(ledger.iter().any(|gap| gap["state"] == "open"));
    for gap in &ledger {
        assert_eq!(gap["contradictions"], json!([]), "{gap}");
        let is_open = gap["state"] == "open";
        assert!(is_open || gap["state"] == "filled", "{gap}");
        assert_eq!(gap["left_open"], json!(is_open), "{gap}");
        assert!(
            gap["incarnation_number"].as_u64() <= Some(killed + 1),
            "{gap}"
        );
    }
}

/// Many more gaps at a time than the stats file shows: the journal has the whole row of each.
#[test]
fn more_gaps_than_the_table_has() {
    const GAPS: u64 = 600;
    let mut plant = Plant::new();
    plant.set("/exchange/recovery/retry_attempts", json!(100));
    let worker = plant.start();
    for place in 0..=GAPS {
        plant.send_both(1 + 2 * place, 1 + 2 * place);
    }
    worker.wait_for("gaps_opened_total", "", GAPS);
    plant.answer_until(&worker, 2 * GAPS + 2, 1);
    worker.wait_for("gaps_filled_total", "", GAPS);
    assert_eq!(worker.stats().gaps().len(), 256);
    worker.stop();
    let ledger = plant.ledger();
    assert_eq!(ledger.len() as u64, GAPS);
    for (id, gap) in (1..).zip(&ledger) {
        let facts = (
            &gap["gap_id"],
            &gap["state"],
            &gap["by_request"],
            &gap["sources"],
        );
        let wanted = (&json!(id), &json!("filled"), &json!(1), &json!(["request"]));
        assert_eq!(facts, wanted);
        assert_eq!(gap["lines_missed"], json!(["A", "B"]));
        assert_eq!(gap["contradictions"], json!([]));
    }
}

/// A plant that gives line B half a second to bring what line A has lost, so that it is never
/// asked for.
fn patient_plant() -> Plant {
    let mut plant = Plant::new();
    plant.set("/exchange/arbiter/reorder_window_ns", json!(500_000_000));
    plant.set(
        "/exchange/arbiter/reorder_window_min_ns",
        json!(500_000_000),
    );
    plant.set("/exchange/arbiter/reorder_window_packets", json!(0));
    plant
}

/// Messages 1 to 4, of which line A never brings 2 and 3 and line B only when A is behind them.
fn late_on_line_a(plant: &Plant, worker: &Worker) {
    plant.send_both(1, 1);
    plant.send(0, 4, 4);
    worker.wait_for("gaps_opened_total", "", 1);
    plant.send(1, 2, 3);
    plant.send(1, 4, 4);
    worker.wait_for("gaps_filled_total", "", 1);
    worker.wait_for("line_next_sequence", "line=B", 5);
}

fn wait_for_row(worker: &Worker, id: u64, is_wanted: impl Fn(&GapRow) -> bool) {
    let start = std::time::Instant::now();
    loop {
        let rows = worker.stats().gaps();
        let row = rows.iter().find(|row| row.id == id);
        if row.is_some_and(&is_wanted) {
            return;
        }
        assert!(start.elapsed().as_secs() < 60, "the row stays {row:?}");
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
}
