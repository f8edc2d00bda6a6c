//! Captures that the test writes: pcapng, pcap, gzip, file order that is not time order.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;
use tickdeck_sim::Random;
use tickdeck_sim::cme::{Channel, ChannelConfig};
use tickdeck_wire::moldudp64::{PacketBuilder, Session};
use tickdeck_worker::capture::{CapturedPacket, Interface, PcapngWriter};

use crate::{channel, channels, offline};

const A: &str = "239.1.2.3:31001";
const B: &str = "239.1.2.4:31002";
const C: &str = "239.1.2.5:31001";
const D: &str = "239.1.2.6:31002";

/// A datagram: when, where to, what.
type Datagram = (u64, &'static str, Vec<u8>);

fn lines() -> [String; 2] {
    ["--lines".to_owned(), format!("A={A},B={B}")]
}

/// Both lines of a generated CME channel, line B's packets first in the file.
fn cme(seed: u64, packets: usize, [a, b]: [&'static str; 2]) -> Vec<Datagram> {
    let mut channel = Channel::new(ChannelConfig {
        seed,
        ..ChannelConfig::default()
    });
    let mut random = Random::new(seed);
    let (mut on_a, mut on_b) = (Vec::new(), Vec::new());
    for _ in 0..packets {
        let packet = channel.next_packet().to_vec();
        let [at_a, at_b] = Channel::race(&mut random, channel.now_ns());
        on_a.push((at_a, a, packet.clone()));
        on_b.push((at_b, b, packet));
    }
    [on_b, on_a].concat()
}

fn write_pcapng(path: &Path, datagrams: &[Datagram]) {
    let interface = Interface {
        name: "A".to_owned(),
        description: String::new(),
    };
    let file = BufWriter::new(File::create(path).expect("creates"));
    let mut writer = PcapngWriter::new(file, &[interface], "").expect("writes");
    for (at_ns, destination, payload) in datagrams {
        let packet = CapturedPacket {
            interface: 0,
            at_ns: *at_ns,
            source: "10.0.0.1:4000".parse().expect("an address"),
            destination: destination.parse().expect("an address"),
            payload,
            is_truncated: false,
            comment: None,
        };
        writer.packet(&packet).expect("writes");
    }
    writer.finish().expect("writes");
}

/// A pcap with nanoseconds, of Ethernet frames with a VLAN tag.
fn write_pcap(path: &Path, datagrams: &[Datagram]) {
    let mut file = Vec::new();
    for number in [0xA1B2_3C4D_u32, 0x0004_0002, 0, 0, 65_535, 1] {
        file.extend(number.to_le_bytes());
    }
    for (at_ns, destination, payload) in datagrams {
        let frame = frame(destination, payload);
        let (seconds, rest) = (at_ns / 1_000_000_000, at_ns % 1_000_000_000);
        for number in [seconds, rest, frame.len() as u64, frame.len() as u64] {
            file.extend((number as u32).to_le_bytes());
        }
        file.extend(frame);
    }
    fs::write(path, file).expect("writes");
}

fn frame(destination: &str, payload: &[u8]) -> Vec<u8> {
    let destination: SocketAddr = destination.parse().expect("an address");
    let SocketAddr::V4(destination) = destination else {
        panic!("IPv4");
    };
    let length = (8 + payload.len()) as u16;
    let mut frame = vec![0xAA; 12];
    frame.extend([0x81, 0, 0, 7, 8, 0]);
    frame.extend([0x45, 0]);
    frame.extend((20 + length).to_be_bytes());
    frame.extend([0, 0, 0, 0, 16, 17, 0, 0, 10, 0, 0, 1]);
    frame.extend(destination.ip().octets());
    frame.extend(4_000_u16.to_be_bytes());
    frame.extend(destination.port().to_be_bytes());
    frame.extend(length.to_be_bytes());
    frame.extend([0, 0]);
    frame.extend(payload);
    frame
}

fn file(dir: &tempfile::TempDir, name: &str) -> PathBuf {
    dir.path().join(name)
}

/// The same channel as pcapng, as pcap and as gzip gives the same, whatever the file order; both
/// lines are whole, and instruments' numbers go on in the merged stream.
#[test]
fn any_kind_of_capture_gives_the_same() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let datagrams = cme(3, 500, [A, B]);
    let (pcapng, pcap, packed) = (file(&dir, "a"), file(&dir, "b"), file(&dir, "c"));
    write_pcapng(&pcapng, &datagrams);
    write_pcap(&pcap, &datagrams);
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(&fs::read(&pcap).expect("reads"))
        .expect("memory");
    fs::write(&packed, gzip.finish().expect("memory")).expect("writes");
    let lines = lines();
    let lines = [&*lines[0], &*lines[1]];
    let found = channel(&pcapng, &lines);
    for other in [&pcap, &packed] {
        assert_eq!(channel(other, &lines), found);
    }
    let told = channel(&pcapng, &[&lines[..], &["--protocol", "cme_mdp3"]].concat());
    assert_eq!(told, found, "the protocol is told from the packets");
    assert_eq!(found["channel"], A);
    let numbers = [&found["first_sequence"], &found["last_sequence"]];
    assert_eq!(numbers, [&json!(1), &json!(500)]);
    for key in ["packets_a", "packets_b", "duplicates"] {
        assert_eq!(found[key], 500, "{key}");
    }
    for key in ["lost_a", "lost_b", "conflicts", "uncompared"] {
        assert_eq!(found[key], 0, "{key}");
    }
    let (first_a, first_b) = (found["first_a"].as_u64(), found["first_b"].as_u64());
    assert_eq!(first_a.zip(first_b).map(|(a, b)| a + b), Some(500));
    assert!(first_a > Some(350) && first_a < Some(450), "{first_a:?}");
    assert_eq!(
        (&found["gaps"], &found["rejected"]),
        (&json!([]), &json!({}))
    );
    assert_eq!(found["rpt_seq"]["jumps"], 0);
    assert_eq!(found["rpt_seq"]["instruments"], 9);
}

/// Several channels, in one argument or in several, are merged each on its own; what is dropped on
/// both lines is a gap of every channel, at its edges too.
#[test]
fn channels_are_merged_each_on_its_own() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let capture = file(&dir, "two.pcapng");
    let datagrams = [cme(1, 60, [A, B]), cme(2, 90, [C, D])].concat();
    write_pcapng(&capture, &datagrams);
    let (first, second) = (format!("A={A},B={B}"), format!("A={C},B={D}"));
    let both = format!("{first},{second}");
    let drop = [
        "--drop",
        "A:1-5,B:3-8",
        "--drop",
        "A:40,B:40-41,A:55-90,B:80-200",
    ];
    let found = channels(&capture, &[&["--lines", &both][..], &drop].concat());
    let apart = ["--lines", &first, "--lines", &second];
    assert_eq!(channels(&capture, &[&apart[..], &drop].concat()), found);
    let ranges = |pairs: &[(u64, u64)]| {
        let range = |(from, to): &(u64, u64)| json!({"from": from, "to": to});
        json!(pairs.iter().map(range).collect::<Vec<_>>())
    };
    assert_eq!(found[0]["gaps"], ranges(&[(3, 5), (40, 40)]));
    assert_eq!(found[1]["gaps"], ranges(&[(3, 5), (40, 40), (80, 90)]));
    assert_eq!([&found[0]["channel"], &found[1]["channel"]], [A, C]);
    let lost = |index: usize| [&found[index]["lost_a"], &found[index]["lost_b"]];
    assert_eq!(lost(0), [&json!(5 + 1 + 6), &json!(6 + 2)]);
    assert_eq!(lost(1), [&json!(5 + 1 + 36), &json!(6 + 2 + 11)]);
    assert!(found[0]["rpt_seq"]["jumps"].as_u64() > Some(0), "it shows");
}

/// Without `--json` there is a table for people.
#[test]
fn a_table_is_printed() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let capture = file(&dir, "day.pcapng");
    write_pcapng(&capture, &cme(1, 60, [A, B]));
    let lines = lines();
    let output = offline(
        &capture,
        &[&lines[0], &lines[1], "--drop", "A:7-9,B:8-9,A:30,B:30"],
    );
    let text = String::from_utf8(output.stdout).expect("text");
    assert!(output.status.success());
    for words in [
        A,
        "1 to 60",
        "gaps 8-9, 30",
        "B after A, ns: min",
        "RptSeq of 9 instruments",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
}

/// MoldUDP64 is told from its packets too; numbers are those of messages.
#[test]
fn mold_is_told_from_its_packets() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let capture = file(&dir, "mold.pcap");
    let mut builder = PacketBuilder::new(Session(*b"DEMO000001"), 1_400);
    let mut datagrams = Vec::new();
    for (at_ns, first, line) in [(1_000, 1, A), (2_000, 4, B), (3_000, 1, B), (4_000, 10, A)] {
        builder.begin(first);
        assert!((0..3).all(|index| builder.push(&[index])));
        datagrams.push((at_ns, line, builder.finish().to_vec()));
    }
    write_pcap(&capture, &datagrams);
    let lines = lines();
    let found = channel(&capture, &[&lines[0], &lines[1]]);
    assert_eq!(found["session"], "DEMO000001");
    assert_eq!(found["gaps"], json!([{"from": 7, "to": 9}]));
    assert_eq!(
        [&found["first_a"], &found["first_b"]],
        [&json!(6), &json!(3)]
    );
    assert_eq!([&found["lost_a"], &found["lost_b"]], [&json!(6), &json!(6)]);
    assert_eq!(found["duplicates"], 3);
    let two = json!({"min": 2000, "p1": 2000, "p50": 2000, "p99": 2000, "max": 2000});
    assert_eq!(found["skew_ns"], two);
    assert_eq!(found["rpt_seq"], json!(null));
}

/// What cannot be done is refused with what, where, and what to do instead.
#[test]
fn impossible_wishes_are_refused() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let (capture, text) = (file(&dir, "day.pcapng"), file(&dir, "text"));
    let (missing, strange, cut) = (file(&dir, "no"), file(&dir, "strange"), file(&dir, "cut"));
    write_pcapng(&capture, &cme(1, 20, [A, B]));
    fs::write(&text, "no capture").expect("writes");
    let question = (1, A, b"who is there?".to_vec());
    write_pcapng(&strange, &[question]);
    let whole = fs::read(&capture).expect("reads");
    fs::write(&cut, &whole[..whole.len() - 9]).expect("writes");
    let lines = lines();
    let good = [&*lines[0], &*lines[1]];
    let elsewhere = ["--lines", "A=239.9.9.9:1,B=239.9.9.8:1"];
    let cases: [(&Path, &[&str], i32, &str); 8] = [
        (&missing, &good, 78, "No such file"),
        (&text, &good, 76, "is not pcap or pcapng"),
        (&cut, &good, 76, "the file ends inside a frame"),
        (
            &capture,
            &elsewhere,
            78,
            "239.1.2.3:31001 (20), 239.1.2.4:31002 (20)",
        ),
        (
            &capture,
            &["--lines", "A=239.1.2.3:31001"],
            78,
            "has no B behind it",
        ),
        (
            &capture,
            &[good[0], good[1], "--drop", "A:9-3"],
            78,
            "write A:FROM-TO",
        ),
        (&strange, &good, 78, "--protocol"),
        (
            &capture,
            &[good[0], good[1], "--eobi-release", "9"],
            78,
            "--eobi-release",
        ),
    ];
    for (input, arguments, code, words) in cases {
        let output = offline(input, arguments);
        let log = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{log}");
        assert!(log.contains(words), "{words}: {log}");
        assert!(output.stdout.is_empty(), "nothing but the error");
    }
}
