//! `repair` and `prune`: they tell first, and change only when they are ordered to.

use std::fs;
use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};
use tempfile::tempdir;
use tickdeck_journal::{Pin, write_pin};

use crate::support::*;

/// Four closed segments of ten records.
fn four_segments(dir: &Path) {
    let mut day = Day::open(dir, MS);
    for segment in 0..4 {
        for record in 0..10 {
            day.data(FIRST, 1 + segment * 10 + record, &[b"message"]);
        }
        day.writer.seal().expect("seals");
    }
    day.writer.close().expect("closes");
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).expect("lists");
    let mut names: Vec<String> = entries
        .map(|entry| entry.expect("lists").file_name().to_string_lossy().into())
        .filter(|name: &String| name.ends_with(".seg"))
        .collect();
    names.sort();
    names
}

/// A bad block in the middle: told, then cut off; `info` lists what is in quarantine; a salvage of the
/// damaged journal keeps what lies behind it.
#[test]
fn repair_tells_and_does() {
    let scratch = tempdir().expect("a directory");
    let dir = scratch.path().join("journal");
    four_segments(&dir);
    let victim = dir.join("00000000000000000002.seg");
    let mut bytes = fs::read(&victim).expect("reads");
    bytes[300] ^= 1;
    fs::write(&victim, bytes).expect("writes");
    let before = names(&dir);

    let into = scratch.path().join("salvaged");
    let args = ["repair", text(&dir), "--into", text(&into), "--json"];
    let output = run(&args);
    assert_eq!(code(&output), 1, "something is lost");
    assert!(!into.exists());
    let output = run(&[&args[..], &["--apply"]].concat());
    assert_eq!(code(&output), 0, "{}", errors(&output));
    let told = json(&output);
    assert_eq!(
        (&told["lost"][0]["from"], &told["lost"][0]["to"]),
        (&json!(11), &json!(20))
    );
    assert_eq!(told["records"], 30);
    let output = run(&["verify", text(&into), "--json"]);
    assert_eq!(code(&output), 0);
    assert_eq!(json(&output)["last_seq"], 40);

    let output = run(&["repair", text(&dir), "--mode", "point-in-time", "--json"]);
    assert_eq!(code(&output), 1, "there is something to do");
    assert_eq!(
        (json(&output)["applied"].clone(), names(&dir)),
        (json!(false), before)
    );
    let output = run(&[
        "repair",
        text(&dir),
        "--mode",
        "point_in_time",
        "--json",
        "--apply",
    ]);
    assert_eq!(code(&output), 0, "{}", errors(&output));
    assert_eq!(json(&output)["hole"], json!({"from": 11, "to": 40}));
    assert_eq!(code(&run(&["verify", text(&dir)])), 0);
    let info = json(&run(&["info", text(&dir), "--json"]));
    let kept = info["quarantine"].as_array().expect("a list");
    assert!(kept.len() >= 3, "{kept:?}");
    let output = run(&["cat", text(&dir), "--json", "--limit", "3"]);
    assert_eq!(
        String::from_utf8(output.stdout)
            .expect("text")
            .lines()
            .count(),
        3
    );
}

/// Pins hold; a plan changes nothing; the journal is whole behind it; a limit is needed.
#[test]
fn prune_tells_and_does() {
    let scratch = tempdir().expect("a directory");
    let dir = scratch.path().join("journal");
    four_segments(&dir);
    let pin = Pin {
        client: "west".into(),
        acked_seq: 25,
        retain_max_bytes: 0,
        retain_max_age_s: 0,
        acked_ns: 0,
        lost: false,
    };
    write_pin(&dir, &pin).expect("writes");
    assert_eq!(code(&run(&["prune", text(&dir)])), 2, "no limit is given");
    let args = ["prune", text(&dir), "--keep-bytes", "1", "--json"];
    let told = json(&run(&args));
    assert_eq!(
        (&told["applied"], &told["first_seq"]),
        (&json!(false), &json!(21))
    );
    assert_eq!(told["held_by"], "the pin of west");
    assert_eq!(names(&dir).len(), 5);
    let output = run(&[&args[..], &["--apply"]].concat());
    assert_eq!(code(&output), 0, "{}", errors(&output));
    assert_eq!(names(&dir).len(), 3);
    let report = json(&run(&["verify", text(&dir), "--json"]));
    assert_eq!(
        (&report["first_seq"], &report["problems"]),
        (&json!(21), &json!([]))
    );
    let told = json(&run(&[
        "prune",
        text(&dir),
        "--below-seq",
        "21",
        "--json",
        "--apply",
    ]));
    assert_eq!(told["deleted"], json!([]));

    // A receiver that writes it prunes it itself.
    let _writer = Day::open(&dir, MS);
    let output = run(&[&args[..], &["--apply"]].concat());
    assert_eq!(code(&output), 78, "{}", errors(&output));
    assert!(errors(&output).contains("retain_max_bytes"));
}

/// Whoever asks for progress gets a line of it at once, and of long work one a second; the answer is
/// the same, and alone on standard output.
#[test]
fn progress_is_told_when_asked_for() {
    let scratch = tempdir().expect("a directory");
    let journal = scratch.path().join("journal");
    four_segments(&journal);
    let mut day = Day::open(&journal, MS);
    day.data(FIRST, 41, &[b"message"]);
    day.writer.sync().expect("syncs");
    let into = scratch.path().join("salvaged");
    let keep = ["--keep-bytes", "1", "--apply"];
    let commands: [(&[&str], &str); 5] = [
        (&["verify"], "bytes, segment 1 of 6"),
        (&["repair", "--mode", "tail"], "bytes, segment 1 of 1"),
        (
            &["repair", "--mode", "point-in-time"],
            "bytes, segment 1 of 6",
        ),
        (&["repair", "--into", text(&into)], "bytes"),
        (&[&["prune"], &keep[..]].concat(), "bytes verified"),
    ];
    for (args, unit) in commands {
        let dir = scratch.path().join("copy");
        copy_of(&journal, &dir);
        let args = [args, &[text(&dir), "--json"]].concat();
        let quiet = run(&args);
        assert!(
            !errors(&quiet).contains(" %"),
            "{args:?}: {}",
            errors(&quiet)
        );
        copy_of(&journal, &dir);
        let told = run(&[&args[..], &["--progress"]].concat());
        assert_eq!(code(&told), code(&quiet), "{args:?}: {}", errors(&told));
        assert_eq!(answer(&told), answer(&quiet), "{args:?}");
        let errors = errors(&told);
        let line = errors
            .lines()
            .next()
            .unwrap_or_else(|| panic!("{args:?}: nothing"));
        let words: Vec<&str> = line.split_whitespace().collect();
        assert_eq!((words[1], words[3]), ("%", "of"), "{args:?}: {line}");
        for number in [words[0], words[2], words[4]] {
            assert!(number.parse::<u64>().is_ok(), "{args:?}: {line}");
        }
        assert_eq!(words[5..].join(" "), unit, "{args:?}");
    }
}

/// What is told, but for the moment.
fn answer(output: &Output) -> Value {
    let mut value = json(output);
    if let Some(fields) = value.as_object_mut() {
        fields.remove("time_ns");
    }
    value
}

/// A fresh copy of a journal, as a writer leaves it that is killed now.
fn copy_of(from: &Path, to: &Path) {
    if to.exists() {
        fs::remove_dir_all(to).expect("removes");
    }
    fs::create_dir(to).expect("creates");
    for entry in fs::read_dir(from).expect("lists") {
        let path = entry.expect("lists").path();
        if path.is_file() {
            fs::copy(&path, to.join(path.file_name().expect("a name"))).expect("copies");
        }
    }
}
