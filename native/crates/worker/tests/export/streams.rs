//! One conformance suite for those who dial and those who are dialled (X26).

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tickdeck_export::message::{ErrorCode, GapReason, GoodbyeReason, Start};
use tickdeck_journal::read_pins;
use tickdeck_testbed::promised;

use crate::peer::{Copy, Peer, Said};
use crate::plant::{Plant, wait_until};
use crate::ways::{Reach, WAYS, Way};

/// X13: everything from the beginning, then what comes; the ACKs are counted as the subscriber keeps
/// them (X23); a stop waits for the last one (W27).
#[test]
fn everything_from_the_beginning_to_the_last_ack() {
    for way in WAYS {
        let mut plant = Plant::new();
        plant.append(20_000, 40);
        let mut reach = way.open(&plant, json!({}));
        let mut peer = reach.peer();
        let mut copy = Copy::default();
        let said = peer.resume(Some("a"), &mut copy);
        assert!(
            matches!(&said, Said::SubOk(ok) if ok.start_seq == 1),
            "{way:?}: {said:?}"
        );
        peer.follow_to(20_000, &mut copy);
        for _ in 0..20 {
            plant.append(50, 40);
            peer.follow_to(plant.durable(), &mut copy);
        }
        assert_eq!((copy.end, copy.again, copy.gaps.len()), (21_000, 0, 0));
        let exporter = &mut reach.exporter;
        wait_until("the last ACK is counted", || {
            exporter.stat("tcp_export_acked_seq") == 21_000
        });
        let rows = exporter.rows();
        assert_eq!(
            (&rows[0]["id"], &rows[0]["acked_seq"]),
            (&json!("a"), &json!(21_000))
        );
        assert_eq!(
            (&rows[0]["state"], &rows[0]["lag_records"]),
            (&json!("live"), &json!(0))
        );

        plant.append(10, 40);
        exporter.signal("TERM");
        peer.follow_to(21_010, &mut copy);
        let bye = loop {
            match peer.next() {
                Said::Goodbye(bye) => break bye,
                said => assert!(matches!(said, Said::Heartbeat(_)), "{said:?}"),
            }
        };
        assert_eq!(
            (bye.reason, bye.next_seq),
            (GoodbyeReason::Stopping, 21_011)
        );
        assert_eq!(peer.next(), Said::End);
        assert_eq!(exporter.wait().code(), Some(0), "{way:?}");
    }
}

/// Nothing above what was synced leaves (W24), and idle streams show that they live (X14).
#[test]
fn durable_only_and_heartbeats() {
    for way in WAYS {
        let mut plant = Plant::new();
        plant.append(100, 40);
        let reach = way.open(&plant, json!({"heartbeat_ms": 100}));
        let mut peer = reach.peer();
        let mut copy = Copy::default();
        peer.resume(Some("a"), &mut copy);
        peer.follow_to(100, &mut copy);
        let payload = crate::plant::payload(101, 8);
        let record = tickdeck_journal::Record {
            kind: 1,
            stamp: 2,
            line: 0,
            channel: 1,
            venue_seq: 1,
            rx_ns: 1,
            payload: &payload,
        };
        plant.writer.append(&record).expect("appends");
        plant.writer.flush().expect("writes");
        plant.publish();
        let begin = Instant::now();
        for _ in 0..5 {
            let Said::Heartbeat(beat) = peer.next() else {
                panic!("nothing else may come");
            };
            assert_eq!((beat.next_seq, beat.durable), (101, 100));
            assert!(beat.written >= 100);
        }
        assert!(
            begin.elapsed() < promised(Duration::from_secs(3)),
            "{:?}",
            begin.elapsed()
        );
        plant.sync();
        peer.follow_to(101, &mut copy);
    }
}

/// X20: seats are counted, for all and for each identity, whatever way they come; whoever gets none is
/// told so, and what is given back is there again.
#[test]
fn seats_run_out() {
    for way in WAYS {
        let mut plant = Plant::new();
        plant.append(10, 40);
        let settings = json!({"max_subscribers": 4, "subscribers": [
            {"id": "a", "slow_policy": "disconnect", "retain_max_bytes": 0, "retain_max_age_s": 0,
             "allow_written": false, "max_connections": 2}]});
        let mut reach = way.open(&plant, settings);
        if way.is_dialled() {
            a_seat_comes_back(way, &mut reach);
            continue;
        }
        let mut held = Vec::new();
        for (name, refusal) in [
            ("a", None),
            ("a", None),
            ("a", Some("this identity has all its connections")),
            ("b", None),
            // One for each identity that has no table of its own.
            ("b", Some("this identity has all its connections")),
            ("c", None),
            ("d", Some("all places are taken")),
        ] {
            let (peer, said) = seat(&reach, name);
            match (&said, refusal) {
                (Said::SubOk(_), None) => held.push(peer),
                (Said::Err(refused), Some(reason)) => assert_eq!(
                    (refused.code, refused.text.as_str()),
                    (ErrorCode::Busy, reason),
                    "{way:?} {name}"
                ),
                _ => panic!("{way:?} {name}: {said:?}"),
            }
        }
        assert_eq!(
            reach.exporter.stat("tcp_export_subscriber_rejected_total"),
            3,
            "{way:?}"
        );
        let exporter = &mut reach.exporter;
        // The gauge follows each 100 ms: from what it was before anybody came, nothing follows.
        wait_until("all are counted", || {
            exporter.stat("tcp_export_active_subscribers") == 4
        });
        drop(held);
        wait_until("all have left", || {
            exporter.stat("tcp_export_active_subscribers") == 0
        });
        assert!(matches!(seat(&reach, "d").1, Said::SubOk(_)), "{way:?}");
    }
}

/// A connection that asks for a seat, and what it was told.
fn seat(reach: &Reach, name: &str) -> (Peer, Said) {
    let mut peer = reach.peer_of(name);
    let said = peer.resume(Some(name), &mut Copy::default());
    (peer, said)
}

/// Who is dialled has one connection at a time. There are four seats, and two for `a`: one that was not
/// given back would be missed soon.
fn a_seat_comes_back(way: Way, reach: &mut Reach) {
    for name in ["a", "a", "a", "b", "a", "c", "b", "a"] {
        let (_, said) = seat(reach, name);
        assert!(matches!(said, Said::SubOk(_)), "{way:?} {name}: {said:?}");
    }
    let exporter = &mut reach.exporter;
    assert_eq!(exporter.stat("tcp_export_subscriber_accepted_total"), 8);
    assert_eq!(exporter.stat("tcp_export_subscriber_rejected_total"), 0);
    wait_until("all have left", || {
        exporter.stat("tcp_export_active_subscribers") == 0
    });
}

/// X22: what is no frame closes the connection, and the subscriber goes on by sequence.
#[test]
fn garbage_closes_and_resuming_loses_nothing() {
    for way in WAYS {
        let mut plant = Plant::new();
        plant.append(5_000, 40);
        let reach = way.open(&plant, json!({}));
        let mut copy = Copy::default();
        let mut flipped =
            tickdeck_export::message::Message::Ack(tickdeck_export::message::Ack { seq: 1 })
                .to_frame();
        flipped[9] ^= 1;
        for garbage in [
            &u32::MAX.to_le_bytes()[..],
            &flipped,
            b"\r\n\r\n quit quit quit quit",
        ] {
            let mut peer = reach.peer();
            assert!(matches!(peer.resume(Some("a"), &mut copy), Said::SubOk(_)));
            peer.follow_to((copy.end + 1_000).min(5_000), &mut copy);
            peer.socket.write_all(garbage).expect("writes");
            let told = loop {
                let said = peer.next();
                copy.keep(&said);
                match said {
                    Said::Err(refused) => break refused.code,
                    Said::End => panic!("closed without a word"),
                    _ => {}
                }
            };
            assert_eq!(told, ErrorCode::BadFrame, "{way:?}");
            while peer.next() != Said::End {}
        }
        let mut peer = reach.peer();
        assert!(matches!(peer.resume(Some("a"), &mut copy), Said::SubOk(_)));
        peer.follow_to(5_000, &mut copy);
        assert_eq!(copy.gaps, []);
        wait_until("all are counted", || {
            reach.exporter.stat("tcp_export_violations_total") == 3
        });
    }
}

/// A damaged block is declared and the rest comes; a retained subscriber's ACKs become its pin.
#[test]
fn damage_is_declared_and_pins_are_written() {
    for way in WAYS {
        let mut plant = Plant::with_segments(16 * 1024);
        for _ in 0..100 {
            plant.append(10, 40);
        }
        let mut files: Vec<_> = std::fs::read_dir(plant.journal())
            .expect("lists")
            .map(|entry| entry.expect("lists").path())
            .filter(|path| path.extension().is_some_and(|it| it == "seg"))
            .collect();
        files.sort();
        let mut bytes = std::fs::read(&files[1]).expect("reads");
        bytes[2_000] ^= 4;
        std::fs::write(&files[1], bytes).expect("writes");
        let settings = json!({"subscribers": [
        {"id": "a", "slow_policy": "retain", "retain_max_bytes": 1_000_000, "retain_max_age_s": 60,
         "allow_written": false, "max_connections": 1}]});
        let reach = way.open(&plant, settings);
        let mut peer = reach.peer();
        let mut copy = Copy::default();
        peer.resume(Some("a"), &mut copy);
        peer.follow_to(1_000, &mut copy);
        let [gap] = &copy.gaps[..] else {
            panic!("{:?}", copy.gaps);
        };
        assert_eq!((gap.reason, gap.to - gap.from), (GapReason::Corrupt, 9));
        wait_until("the gap is counted", || {
            reach.exporter.stat("tcp_export_dropped_total") == 10
        });
        wait_until("the pin is written", || {
            let pins = read_pins(plant.journal()).expect("reads");
            let pin = |pin: &tickdeck_journal::Pin| {
                (pin.client.clone(), pin.acked_seq, pin.retain_max_bytes)
            };
            pins.iter()
                .map(pin)
                .eq([("a".to_owned(), 1_000, 1_000_000)])
        });
    }
}

/// The end asked for, a place beyond it, and another log.
#[test]
fn starts_are_judged() {
    for way in WAYS {
        let mut plant = Plant::new();
        plant.append(100, 40);
        let reach = way.open(
            &plant,
            json!({"max_subscribers": 8, "subscribers": [
            {"id": "a", "slow_policy": "disconnect", "retain_max_bytes": 0, "retain_max_age_s": 0,
             "allow_written": false, "max_connections": 8}]}),
        );
        let ask = |start, copy: &Copy| {
            let mut peer = reach.peer();
            let proved = peer.prove(Some("a"));
            assert!(matches!(proved, Said::AuthOk(_)), "{way:?}: {proved:?}");
            peer.subscribe(start, copy)
        };
        let none = Copy::default();
        assert!(matches!(ask(Start::Live, &none), Said::SubOk(ok) if ok.start_seq == 101));
        let code = |said| match said {
            Said::Err(refused) => (refused.code, refused.seq),
            said => panic!("{way:?}: {said:?}"),
        };
        assert_eq!(code(ask(Start::Seq(102), &none)), (ErrorCode::Forked, 101));
        let other = Copy {
            log_id: [9; 16],
            epoch: 1,
            ..Copy::default()
        };
        assert_eq!(code(ask(Start::Seq(50), &other)).0, ErrorCode::WrongLog);
    }
}

/// Our own subscriber takes all of it, and goes on behind its position.
#[test]
fn our_subscriber_is_served() {
    let mut plant = Plant::new();
    plant.append(1_000, 40);
    let mut reach = Way::Unix.open(&plant, json!({}));
    let endpoint = format!("unix:{}", reach.socket.display());
    let state = plant.path("position");
    let run = |count: &str| {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_tickdeck-journal"))
            .args(["subscribe", "--json", "--client", "a", "--count", count])
            .args(["--connect", &endpoint, "--state"])
            .arg(&state)
            .output()
            .expect("runs");
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stdout).expect("text");
        let seq = |line: &str| {
            let line: Value = serde_json::from_str(line).expect("JSON");
            line["seq"].as_u64().expect("a number")
        };
        text.lines().map(seq).collect::<Vec<_>>()
    };
    assert_eq!(run("700"), (1..=700).collect::<Vec<_>>());
    let exporter = &mut reach.exporter;
    wait_until("the first one has left", || {
        exporter.stat("tcp_export_active_subscribers") == 0
    });
    assert_eq!(run("300"), (701..=1_000).collect::<Vec<_>>());
}
