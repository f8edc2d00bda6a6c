//! A generated session keeps the rules of the format.

use std::collections::{BTreeMap, BTreeSet};

use tickdeck_wire::eobi::{Content, Packet, PacketError};

use super::*;

fn config(seed: u64, release: Release) -> SessionConfig {
    SessionConfig {
        seed,
        release,
        partition_id: seed as u8,
        restart_at: Some(1_200),
        ..SessionConfig::default()
    }
}

/// Proves that a seed fixes every byte, and that another seed gives others.
#[test]
fn a_seed_fixes_the_session() {
    let bytes = |seed| -> Vec<_> {
        let session = Session::new(config(seed, Release::V14_1));
        session.take(500).collect()
    };
    assert_eq!(bytes(7), bytes(7));
    assert_ne!(bytes(7), bytes(8));
}

/// Proves, in both releases, that both lines carry the same packets but for their stamps, each
/// number once and in order; that messages count by product; that time never goes back; and that
/// the line that sends first is the partition's.
#[test]
fn lines_and_numbers_keep_the_rules() {
    for (seed, release) in [(1, Release::V6_0), (2, Release::V14_1), (3, Release::V14_1)] {
        let session = Session::new(config(seed, release));
        let mut lines: [Vec<(u32, Vec<u8>)>; 2] = [Vec::new(), Vec::new()];
        let (mut at_ns, mut firsts, mut technical, mut resets) = (0, BTreeMap::new(), 0, 0);
        for timed in session {
            assert!(timed.at_ns >= at_ns, "time goes on");
            at_ns = timed.at_ns;
            let packet = match Packet::parse(&timed.bytes, release) {
                Ok(packet) => packet,
                Err(PacketError::TechnicalHeartbeat) => {
                    technical += 1;
                    continue;
                }
                Err(error) => panic!("{error}"),
            };
            if timed.channel == Channel::Incremental {
                resets += u32::from(packet.resets());
                let restarted = packet.transact_time_ns() / 1_000_000_000;
                firsts
                    .entry((packet.sequence(), restarted))
                    .or_insert(timed.line);
                let line = &mut lines[usize::from(timed.line)];
                line.push((packet.sequence(), timed.bytes[32..].to_vec()));
            }
        }
        assert!(lines[0] == lines[1], "the lines differ");
        assert!(technical > 0 && resets == 2 * RESET_PACKETS);
        let mut last = 0;
        let mut restarts = 0;
        for (sequence, _) in &lines[0] {
            restarts += u32::from(*sequence == 1 && last > 0);
            assert!(*sequence == last + 1 || *sequence == 1);
            last = *sequence;
        }
        assert_eq!(restarts, 1);
        assert!(firsts.values().all(|line| *line == seed as u8 % 2));
    }
}

/// Proves that every kind of message is sent, each product's numbers follow one another, and
/// heartbeats say the last of them.
#[test]
fn products_count_their_messages() {
    let session = Session::new(config(5, Release::V14_1));
    let (mut numbers, mut kinds) = (BTreeMap::<i32, u32>::new(), BTreeSet::new());
    for timed in session.filter(|timed| timed.line == 0) {
        let Ok(packet) = Packet::parse(&timed.bytes, Release::V14_1) else {
            continue;
        };
        if packet.resets() && packet.sequence() == 1 && timed.channel == Channel::Incremental {
            numbers.clear();
        }
        for message in packet.messages() {
            let content = message.content(Release::V14_1).unwrap();
            kinds.insert(content.template_id());
            if timed.channel == Channel::Snapshot {
                continue;
            }
            let last = numbers.entry(packet.market_segment_id()).or_default();
            match message.msg_seq_num() {
                Some(number) => {
                    assert_eq!(number, *last + 1);
                    *last = number;
                }
                None => assert_eq!(
                    content,
                    Content::Heartbeat {
                        last_processed: *last
                    }
                ),
            }
        }
    }
    let expected = [
        13_001, 13_100, 13_101, 13_102, 13_103, 13_104, 13_105, 13_106, 13_500, 13_600, 13_601,
        13_602,
    ];
    assert_eq!(kinds, BTreeSet::from(expected));
}
