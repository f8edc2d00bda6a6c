//! Records as lines: from where, until where, after what refusal, and who is let in.

use std::process::Stdio;

use serde_json::{Value, json};
use tickdeck_export::message::{ErrorCode, Start};

use crate::provider::{Log, Provider};
use crate::support::{
    KEY, OTHER_KEY, Place, command, lines, position, seqs, subscribe, told, wait_for, write_secret,
};

fn on_unix(place: &Place, log: Log) -> (Provider, String) {
    let provider = Provider::new(log, None);
    provider.on_unix(&place.path("socket"));
    (provider, format!("unix:{}", place.arg("socket")))
}

/// Records come as JSON with their payload; the position is where the last printed one is, and the
/// next run goes on behind it.
#[test]
fn goes_on_where_it_stopped() {
    let place = Place::new();
    let (provider, endpoint) = on_unix(&place, Log::up_to(100));
    let run = |count: &str| {
        let state = place.arg("state");
        let output = subscribe(&[
            "--connect",
            &endpoint,
            "--state",
            &state,
            "--count",
            count,
            "--json",
            "--client",
            "desk",
        ]);
        assert_eq!(told(&output).0, 0, "{}", told(&output).1);
        lines(&output)
    };
    let first = run("13");
    assert_eq!(seqs(&first), (1..=13).collect::<Vec<u64>>());
    assert_eq!(first[12]["kind"], "data");
    assert_eq!(first[12]["payload"], "000000000000000d");
    let stands = position(&place.path("state")).expect("a position");
    assert_eq!(
        stands,
        json!({"log_id": "07".repeat(16), "epoch": 1, "acked_seq": 13})
    );
    assert_eq!(seqs(&run("7")), (14..=20).collect::<Vec<u64>>());
    let seen = || provider.seen.lock().expect("lock").clone();
    assert_eq!(seen().starts[1].start, Start::Seq(14));
    wait_for("the acknowledgements", || seen().acks == [13, 20]);
}

/// What does not come is a line of its own, and everything else is there once.
#[test]
fn holes_are_lines() {
    let place = Place::new();
    let log = Log {
        hole: Some((11, 34)),
        ..Log::up_to(60)
    };
    let (_, endpoint) = on_unix(&place, log);
    let state = place.arg("state");
    let output = subscribe(&[
        "--connect",
        &endpoint,
        "--state",
        &state,
        "--count",
        "30",
        "--json",
    ]);
    let lines = lines(&output);
    let wanted: Vec<u64> = (1..=11).chain(35..=53).collect();
    assert_eq!(seqs(&lines), wanted);
    let gaps: Vec<&Value> = lines
        .iter()
        .filter(|line| line["gap"].is_object())
        .collect();
    assert_eq!(
        gaps,
        [&json!({"gap": {"from": 11, "to": 34, "reason": "journal_hole"}})]
    );
}

/// Where to begin without a position.
#[test]
fn begins_where_it_is_told() {
    for (from, wanted) in [("EARLIEST", 41), ("45", 45)] {
        let place = Place::new();
        let log = Log {
            first: 41,
            ..Log::up_to(100)
        };
        let (_, endpoint) = on_unix(&place, log);
        let state = place.arg("state");
        let output = subscribe(&[
            "--connect",
            &endpoint,
            "--state",
            &state,
            "--count",
            "1",
            "--json",
            "--from",
            from,
        ]);
        assert_eq!(seqs(&lines(&output)), [wanted], "{}", told(&output).1);
    }
}

/// FORKED takes the copy back and says so; PRUNED is a declared gap; BUSY is tried again.
#[test]
fn refusals_are_dealt_with() {
    for (refusal, wanted) in [
        (
            (ErrorCode::Forked, 8),
            vec![json!({"forked_at": 8}), json!(8)],
        ),
        (
            (ErrorCode::Pruned, 31),
            vec![
                json!({"gap": {"from": 11, "to": 30, "reason": "pruned"}}),
                json!(31),
            ],
        ),
        ((ErrorCode::Busy, 0), vec![json!(11)]),
    ] {
        let place = Place::new();
        let (provider, endpoint) = on_unix(&place, Log::up_to(100));
        let state = place.arg("state");
        let run = |count| {
            let arguments = [
                "--connect",
                &endpoint,
                "--state",
                &state,
                "--json",
                "--count",
                count,
            ];
            subscribe(&arguments)
        };
        run("10");
        provider.log.lock().expect("lock").refusal = Some(refusal);
        let output = run("1");
        let shown: Vec<Value> = lines(&output)
            .into_iter()
            .map(|line| {
                if line["seq"].is_u64() {
                    line["seq"].clone()
                } else {
                    line
                }
            })
            .collect();
        assert_eq!(shown, wanted, "{refusal:?} {}", told(&output).1);
    }
}

/// Another log under the same position is refused, and nothing is changed.
#[test]
fn another_log_needs_another_state() {
    let place = Place::new();
    let (provider, endpoint) = on_unix(&place, Log::up_to(100));
    let state = place.arg("state");
    let arguments = [
        "--connect",
        &endpoint,
        "--state",
        &state,
        "--json",
        "--count",
        "5",
    ];
    subscribe(&arguments);
    let before = position(&place.path("state"));
    provider.log.lock().expect("lock").log_id = [8; 16];
    let output = subscribe(&arguments);
    let (code, text) = told(&output);
    assert_eq!(code, 78, "{text}");
    assert!(text.contains("another --state"), "{text}");
    assert_eq!(lines(&output), [] as [Value; 0]);
    assert_eq!(position(&place.path("state")), before);
}

/// A position file that cannot be read is no reason to begin anew.
#[test]
fn a_damaged_position_is_refused() {
    for text in ["", "{}", "{\"log_id\":\"07\",\"epoch\":1,\"acked_seq\":4}"] {
        let place = Place::new();
        std::fs::write(place.path("state"), text).expect("writes");
        let (provider, endpoint) = on_unix(&place, Log::up_to(100));
        let state = place.arg("state");
        let output = subscribe(&["--connect", &endpoint, "--state", &state, "--count", "1"]);
        assert_eq!(told(&output).0, 76, "{text:?}: {}", told(&output).1);
        assert_eq!(provider.seen.lock().expect("lock").connections, 0);
    }
}

/// Both sides prove themselves; a wrong key is told DENIED and gets no record. That ends a subscriber
/// whose transport proves the provider; elsewhere anybody could say it, and it is tried again.
#[test]
fn keys_open_the_door() {
    let place = Place::new();
    let provider = Provider::new(Log::up_to(20), Some(&format!("desk {KEY}")));
    provider.on_unix(&place.path("socket"));
    let on_tcp = provider.on_tcp().to_string();
    let on_unix = format!("unix:{}", place.arg("socket"));
    let (state, keys) = (place.arg("state"), place.arg("key"));
    let arguments = |endpoint| {
        let connect = ["--connect", endpoint, "--state", &state, "--key", &keys];
        [
            &connect[..],
            &["--client", "desk", "--count", "3", "--json"],
        ]
        .concat()
    };
    let is_secret = |text: &str| text.contains(&KEY[..8]) || text.contains(&OTHER_KEY[..8]);
    for (endpoint, key, code, records) in [
        (&on_tcp, KEY, 0, 3),
        (&on_unix, KEY, 0, 3),
        (&on_unix, OTHER_KEY, 77, 0),
    ] {
        write_secret(&place.path("key"), &format!("desk {key}\n"));
        let output = subscribe(&arguments(endpoint));
        let (found, text) = told(&output);
        let records_found = seqs(&lines(&output)).len();
        assert_eq!((found, records_found), (code, records), "{text}");
        assert!(!is_secret(&text), "{text}");
    }
    let denied = || provider.seen.lock().expect("lock").denied.clone();
    assert_eq!(denied(), ["wrong MAC of desk"]);

    let mut command = command(&arguments(&on_tcp));
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut subscriber = child.expect("runs");
    wait_for("two more tries", || denied().len() >= 3);
    subscriber.kill().expect("kills");
    let output = subscriber.wait_with_output().expect("waits");
    assert_eq!(lines(&output), [] as [Value; 0]);
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("Denied") && !is_secret(&text), "{text}");
}

/// What could not be safe is refused before anything is sent.
#[test]
fn unsafe_settings_are_refused() {
    let place = Place::new();
    let (state, key) = (place.arg("state"), place.arg("key"));
    std::fs::write(place.path("key"), format!("desk {KEY}\n")).expect("writes");
    for (arguments, reason) in [
        (vec!["--connect", "192.0.2.1:1"], "clear text"),
        (vec!["--listen", "0.0.0.0:0"], "clear text"),
        (vec!["--connect", "localhost:1"], "clear text"),
        (
            vec!["--connect", "127.0.0.1:1", "--client", "../x"],
            "client id",
        ),
        (
            vec![
                "--connect",
                "127.0.0.1:1",
                "--client",
                "desk",
                "--key",
                &key,
            ],
            "chmod 600",
        ),
        (vec!["--connect", "nowhere"], "host:port"),
        (
            vec![
                "--listen",
                "127.0.0.1:0",
                "--tls-cert",
                "cert",
                "--tls-key",
                "key",
                "--tls-ca",
                "ca",
            ],
            "--server-name",
        ),
        (vec!["--connect", "127.0.0.1:1", "--from", "0"], "--from"),
    ] {
        let output = subscribe(&[&arguments[..], &["--state", &state]].concat());
        let (code, text) = told(&output);
        assert_eq!(code, 78, "{arguments:?}: {text}");
        assert!(text.contains(reason), "{arguments:?}: {text}");
        assert!(!text.contains(&KEY[..8]), "{text}");
    }
}
