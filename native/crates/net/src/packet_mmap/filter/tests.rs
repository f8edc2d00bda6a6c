use std::net::{IpAddr, SocketAddr};

use proptest::prelude::*;
use tickdeck_testbed::FrameBuilder;

use super::*;
use crate::line::Interface;

/// What the kernel does with a program and a frame (Documentation/networking/filter.rst): the bytes
/// that get in, 0 for none. A load outside of the frame refuses it.
fn run(program: &[sock_filter], frame: &[u8]) -> u32 {
    let load = |at: usize, bytes: usize| {
        let found = frame.get(at..at + bytes)?;
        Some(
            found
                .iter()
                .fold(0, |word, byte| word << 8 | u32::from(*byte)),
        )
    };
    let (mut a, mut x, mut at) = (0, 0, 0);
    loop {
        let step = &program[at];
        let (code, k) = (u32::from(step.code), step.k as usize);
        at += 1;
        let loaded = match code {
            LOAD_WORD => load(k, 4),
            LOAD_HALF => load(k, 2),
            LOAD_BYTE => load(k, 1),
            LOAD_HALF_AT_X => load(x + k, 2),
            LOAD_X_HEADER_LENGTH => {
                let Some(byte) = load(k, 1) else { return 0 };
                x = (byte as usize & 0xF) * 4;
                continue;
            }
            JUMP_EQUAL | JUMP_ANY_BIT => {
                let is_true = match code {
                    JUMP_EQUAL => a == step.k,
                    _ => a & step.k != 0,
                };
                at += usize::from(if is_true { step.jt } else { step.jf });
                continue;
            }
            RETURN => return step.k,
            _ => panic!("an instruction that no program of ours has: {code:#x}"),
        };
        let Some(value) = loaded else { return 0 };
        a = value;
    }
}

fn line(group: &str, source: Option<&str>) -> LineConfig {
    LineConfig {
        line: 0,
        group: group.parse().unwrap(),
        port: 5_000,
        interface: Interface {
            name: "eth0".to_owned(),
            index: 1,
            ipv4: None,
        },
        source: source.map(|source| source.parse().unwrap()),
    }
}

fn flow(source: &str, destination: &str) -> FrameBuilder {
    let source: IpAddr = source.parse().unwrap();
    let destination: SocketAddr = destination.parse().unwrap();
    FrameBuilder::udp(SocketAddr::new(source, 4_000), destination)
}

const GROUP: &str = "239.1.2.3";
const TO_GROUP: &str = "239.1.2.3:5000";
const GROUP_V6: &str = "ff05::1:2";
const TO_GROUP_V6: &str = "[ff05::1:2]:5000";

/// The line's datagrams get in, with IP options too, cut to what was asked for.
#[test]
fn the_lines_frames_get_in() {
    let program = of_line(&line(GROUP, None), 777);
    let frame = flow("10.0.0.1", TO_GROUP);
    assert_eq!(run(&program, &frame.build(b"payload")), 777);
    let with_options = frame.clone().ipv4_options(&[1; 40]);
    assert_eq!(run(&program, &with_options.build(b"")), 777);
    let program = of_line(&line(GROUP_V6, None), 777);
    let frame = flow("fd00::1", TO_GROUP_V6);
    assert_eq!(run(&program, &frame.build(b"payload")), 777);
}

/// What differs in one thing stays out.
#[test]
fn foreign_frames_stay_out() {
    let program = of_line(&line(GROUP, None), 777);
    let good = flow("10.0.0.1", TO_GROUP).build(b"payload");
    let changed = |at: usize, value: u8| {
        let mut frame = good.clone();
        frame[at] = value;
        frame
    };
    let tagged = flow("10.0.0.1", TO_GROUP).vlan(5).build(b"payload");
    for (what, frame) in [
        (
            "another group",
            flow("10.0.0.1", "239.1.2.4:5000").build(b""),
        ),
        (
            "another port",
            flow("10.0.0.1", "239.1.2.3:5001").build(b""),
        ),
        ("IPv6", flow("fd00::1", TO_GROUP_V6).build(b"")),
        ("ARP", changed(13, 6)),
        ("TCP", changed(23, 6)),
        ("a second tag", tagged),
        ("half a frame", good[..30].to_vec()),
        ("nothing", Vec::new()),
    ] {
        assert_eq!(run(&program, &frame), 0, "{what}");
    }
    let program = of_line(&line(GROUP_V6, None), 777);
    for (what, frame) in [
        (
            "another group",
            flow("fd00::1", "[ff05::1:3]:5000").build(b""),
        ),
        (
            "another port",
            flow("fd00::1", "[ff05::1:2]:5001").build(b""),
        ),
        ("IPv4", good.clone()),
    ] {
        assert_eq!(run(&program, &frame), 0, "{what}");
    }
    assert_eq!(run(&closed(), &good), 0, "the closed filter");
}

/// A line of one sender refuses the others.
#[test]
fn only_the_source_gets_in() {
    let program = of_line(&line(GROUP, Some("10.0.0.1")), 777);
    assert_eq!(run(&program, &flow("10.0.0.1", TO_GROUP).build(b"")), 777);
    assert_eq!(run(&program, &flow("10.0.0.2", TO_GROUP).build(b"")), 0);
    let program = of_line(&line(GROUP_V6, Some("fd00::1")), 777);
    assert_eq!(run(&program, &flow("fd00::1", TO_GROUP_V6).build(b"")), 777);
    assert_eq!(run(&program, &flow("fd00::2", TO_GROUP_V6).build(b"")), 0);
}

/// All fragments of the group get in, so that they can be counted: only the first has a port.
#[test]
fn fragments_get_in() {
    let program = of_line(&line(GROUP, None), 777);
    let fragments = flow("10.0.0.1", TO_GROUP).fragments(&[7; 100], 48);
    assert_eq!(fragments.len(), 3);
    for fragment in &fragments {
        assert_eq!(run(&program, fragment), 777);
    }
    let foreign = flow("10.0.0.1", "239.1.2.4:5000").fragments(&[7; 100], 48);
    assert_eq!(run(&program, &foreign[1]), 0);
    let program = of_line(&line(GROUP_V6, None), 777);
    let mut frame = flow("fd00::1", TO_GROUP_V6).build(b"");
    frame[20] = 44;
    assert_eq!(run(&program, &frame), 777);
}

proptest! {
    /// Any bytes are judged, and by jumps that stay in the program.
    #[test]
    fn any_bytes_are_judged(
        noise in prop::collection::vec(any::<u8>(), 0..100),
        is_v6 in any::<bool>(), cut in 0usize..100,
    ) {
        let (group, source) = if is_v6 {
            (GROUP_V6, "fd00::1")
        } else {
            (GROUP, "10.0.0.1")
        };
        let program = of_line(&line(group, Some(source)), 777);
        prop_assert_eq!(run(&program, &noise), 0);
        let to = if is_v6 { TO_GROUP_V6 } else { TO_GROUP };
        let frame = flow(source, to).build(&noise);
        prop_assert_eq!(run(&program, &frame), 777);
        run(&program, &frame[..cut.min(frame.len())]);
    }
}
