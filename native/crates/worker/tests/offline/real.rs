//! Real captures of exchanges, when the folder with them lies beside the repository.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::{channel, channels, offline};

/// A real CME channel is whole on both lines; the race is as the capture's own times have it.
///
/// The folder's README has the same figures with the lines the other way round (A first 4,807,
/// B−A p50 +261). By the times in the file it is 224.0.32.64 that is first 4,807 times.
#[test]
fn cme_6_1_is_whole() {
    let Some(capture) = data("cme/Cme.Mdp3.Sbe.v6.1.pcap") else {
        return;
    };
    let found = channel(&capture, &["--lines", CME_6_1]);
    let expected = json!({
        "channel": "224.0.31.64:14340",
        "session": "EPOCH00001",
        "packets_a": 5000,
        "packets_b": 5000,
        "first_sequence": 5615,
        "last_sequence": 10614,
        "first_a": 193,
        "first_b": 4807,
        "lost_a": 0,
        "lost_b": 0,
        "duplicates": 5000,
        "conflicts": 0,
        "gaps": [],
        "skew_ns": {"min": -15400, "p1": -4679, "p50": -261, "p99": 1378, "max": 6087},
        "uncompared": 0,
        "rejected": {},
    });
    for (key, value) in expected.as_object().expect("an object") {
        assert_eq!(&found[key], value, "{key}");
    }
    assert_eq!(found["rpt_seq"]["instruments"], 127);
    assert_eq!(found["rpt_seq"]["jumps"], 0);
    assert!(found["rpt_seq"]["updates"].as_u64() > Some(14_574));
    let swapped = channel(
        &capture,
        &["--lines", "A=224.0.32.64:15340,B=224.0.31.64:14340"],
    );
    assert_eq!([&swapped["first_a"], &swapped["first_b"]], [4807, 193]);
    let skew = ["min", "p50", "max"].map(|key| &swapped["skew_ns"][key]);
    assert_eq!(skew, [-6087, 261, 15400]);
}

/// Ranges dropped of it come back as exactly what was dropped on both lines.
#[test]
fn dropped_ranges_come_back() {
    let Some(capture) = data("cme/Cme.Mdp3.Sbe.v6.1.pcap") else {
        return;
    };
    let drop =
        "A:5600-5620,B:5617-5630,A:7000-7100,B:7050-7200,A:9000-9100,B:10600-20000,A:10610-10614";
    let found = channel(&capture, &["--lines", CME_6_1, "--drop", drop]);
    let gaps = json!([
        {"from": 5617, "to": 5620},
        {"from": 7050, "to": 7100},
        {"from": 10610, "to": 10614},
    ]);
    assert_eq!(found["gaps"], gaps);
    assert_eq!(
        [&found["lost_a"], &found["lost_b"]],
        [6 + 101 + 101 + 5, 14 + 151 + 15]
    );
}

/// Nine real channels: the losses of one line that are known, and no gap on any.
#[test]
fn cme_9_1_has_the_known_losses() {
    let Some(capture) = data("cme/Cme.Mdp3.Sbe.v9.1.Example.pcap") else {
        return;
    };
    let lines = CME_9_1
        .map(|(a, b)| format!("A=224.0.28.{a},B=224.0.28.{b}"))
        .join(",");
    let found = channels(&capture, &["--lines", &lines]);
    assert_eq!(found.len(), 9);
    let packets = |channel: &Value| {
        let of = |key: &str| channel[key].as_u64().expect("a number");
        of("packets_a") + of("packets_b")
    };
    assert_eq!(found.iter().map(packets).sum::<u64>(), 99);
    for channel in &found {
        assert_eq!(channel["gaps"], json!([]), "{channel}");
        assert_eq!(channel["conflicts"], 0, "{channel}");
        assert_eq!(channel["rpt_seq"]["jumps"], 0, "{channel}");
    }
    // Which line lost how many, by the channel's range: each is a single known number.
    let is_lossy = |channel: &&Value| channel["lost_a"] != 0 || channel["lost_b"] != 0;
    let losses: Vec<_> = found.iter().filter(is_lossy).map(losses_of).collect();
    let expected = [
        json!([427158, 427162, 0, 1]),
        json!([1160082, 1160090, 1, 0]),
        json!([911519, 911527, 1, 0]),
        json!([1028095, 1028102, 1, 0]),
        json!([579464, 579466, 0, 1]),
    ];
    assert_eq!(losses, expected);
    // Which numbers: dropped on the line that has them, each is the one gap.
    for (number, line) in [
        (427158, "A"),
        (1160085, "B"),
        (911523, "B"),
        (1028099, "B"),
        (579465, "A"),
    ] {
        let drop = format!("{line}:{number}");
        let found = channels(&capture, &["--lines", &lines, "--drop", &drop]);
        let gaps: Vec<_> = found
            .iter()
            .flat_map(|c| c["gaps"].as_array().expect("gaps"))
            .collect();
        assert_eq!(gaps, [&json!({"from": number, "to": number})]);
    }
}

/// Single real packets of each protocol are told and accounted for.
#[test]
fn single_packets_are_told() {
    for (folder, protocol, count) in [
        ("itch50/packets", "moldudp64", 8),
        ("eobi/packets_v6.0", "eobi", 10),
        ("cme/packets_v1.9", "cme_mdp3", 4),
    ] {
        let Some(folder) = data(folder) else {
            return;
        };
        let mut read = 0;
        for entry in fs::read_dir(&folder).expect("lists") {
            let path = entry.expect("lists").path();
            let lines = format!("A={},B=239.255.255.1:1", destination(&path));
            let found = channel(&path, &["--lines", &lines]);
            assert_eq!(found["packets_b"], 0, "{}", path.display());
            assert!(found["packets_a"].as_u64() >= Some(1), "{found}");
            assert_eq!(
                channel(&path, &["--lines", &lines, "--protocol", protocol]),
                found
            );
            read += 1;
        }
        assert_eq!(read, count, "{}", folder.display());
    }
}

const CME_6_1: &str = "A=224.0.31.64:14340,B=224.0.32.64:15340";

/// Last byte of the groups, and ports.
const CME_9_1: [(&str, &str); 9] = [
    ("3:14312", "130:15312"),
    ("4:14313", "131:15313"),
    ("5:14314", "132:15314"),
    ("6:14315", "133:15315"),
    ("7:14316", "134:15316"),
    ("8:14317", "135:15317"),
    ("19:14360", "146:15360"),
    ("20:14361", "147:15361"),
    ("29:14348", "156:15348"),
];

fn losses_of(channel: &Value) -> Value {
    let keys = ["first_sequence", "last_sequence", "lost_a", "lost_b"];
    json!(keys.map(|key| channel[key].clone()))
}

/// The first destination of a capture, as the error names it.
fn destination(capture: &Path) -> String {
    let output = offline(capture, &["--lines", "A=239.255.255.2:1,B=239.255.255.1:1"]);
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    let (_, named) = log
        .split_once("datagrams to ")
        .expect("it names what there is");
    named.split(' ').next().expect("an address").to_owned()
}

/// A file or folder of the real data; `None`, with the reason printed, when it is not there.
fn data(name: &str) -> Option<PathBuf> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../../shared/data");
    if !path.is_dir() {
        println!("skipped: no real market data at {}", path.display());
        return None;
    }
    Some(path.join(name))
}
