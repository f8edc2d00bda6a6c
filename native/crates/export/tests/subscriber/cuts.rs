//! S01, X15, X16 without sockets: connections cut at any byte, subscribers killed at any event.

use std::collections::BTreeMap;

use tickdeck_export::authenticator::Method;
use tickdeck_export::message::{Message, Start};
use tickdeck_export::subscriber::{Event, Position};

use crate::provider::{LOG, MS, Part, auth_ok, hello, said, say, session, settings, sub_ok};

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % limit
    }
}

fn log(random: &mut Random) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut from = 1;
    while from < 400 {
        let to = from + random.below(6);
        parts.push(match random.below(8) {
            0 => Part::Hole { from, to },
            1 => Part::Gone { from, to },
            _ => Part::Records { from, to },
        });
        from = to + 1;
    }
    parts
}

/// What a subscriber keeps: how often each sequence was given to it, and the position. A kill loses
/// what was not stored.
#[derive(Clone, Default)]
struct Copy {
    seqs: BTreeMap<u64, u32>,
    position: Option<Position>,
}

impl Copy {
    fn take(&mut self, from: u64, to: u64) {
        for seq in from..=to {
            *self.seqs.entry(seq).or_default() += 1;
        }
    }
}

/// However connections are cut and subscribers killed, every sequence comes exactly once, as a record or
/// declared.
#[test]
fn exactly_once_over_cuts_and_kills() {
    for seed in 0..60 {
        let random = &mut Random(seed);
        let parts = log(random);
        let last = parts.last().expect("parts").to();
        let (mut copy, mut stored) = (Copy::default(), Copy::default());
        let mut connections = 0;
        while stored
            .position
            .is_none_or(|position| position.acked_seq < last)
        {
            connections += 1;
            assert!(connections < 5_000, "seed {seed}: no progress");
            connect(&parts, &mut copy, &mut stored, random);
        }
        let counts: Vec<(u64, u32)> = stored.seqs.into_iter().collect();
        let wanted: Vec<(u64, u32)> = (1..=last).map(|seq| (seq, 1)).collect();
        assert_eq!(counts, wanted, "seed {seed}");
    }
}

fn connect(parts: &[Part], copy: &mut Copy, stored: &mut Copy, random: &mut Random) {
    // What is above the position is asked for again, so a copy is cut to it when a session begins.
    *copy = stored.clone();
    let mut session = session(&settings(), copy.position);
    say(&mut session, &Message::Hello(hello(Method::Transport)), 0);
    say(&mut session, &auth_ok(), 0);
    let start = said(&mut session).subscribe.expect("SUBSCRIBE").start;
    let from = match start {
        Start::Seq(seq) => seq,
        Start::Earliest | Start::Live => 1,
    };
    say(&mut session, &Message::SubOk(sub_ok(from)), 0);
    let mut bytes = Vec::new();
    // Blocks are sent whole: the first one may begin below what was asked for.
    for part in parts.iter().filter(|part| part.to() >= from) {
        match *part {
            Part::Gone { from: first, to } => Part::Gone {
                from: first.max(from),
                to,
            }
            .push(&mut bytes),
            Part::Hole { from: first, to } if first < from => {
                Part::Gone { from, to }.push(&mut bytes)
            }
            part => part.push(&mut bytes),
        }
    }
    let cut = random.below(bytes.len() as u64 + 1) as usize;
    let mut rest = &bytes[..cut];
    let mut now_ns = 0;
    let mut is_idle = false;
    while !is_idle {
        // After the last byte, one more second.
        is_idle = rest.is_empty();
        let (chunk, behind) = rest.split_at(rest.len().min(1 + random.below(700) as usize));
        rest = behind;
        now_ns += if is_idle { 1_000 } else { random.below(400) } * MS;
        session.on_bytes(chunk, now_ns);
        session.on_time(now_ns);
        while let Some(event) = session.next_event() {
            match event {
                Event::Block { from_seq, block } => copy.take(from_seq, last_of(&block)),
                // The hole's record has the first sequence that it spends.
                Event::Gap { from, to, .. } if copy.seqs.contains_key(&from) => {
                    copy.take(from + 1, to);
                }
                Event::Gap { from, to, .. } => copy.take(from, to),
                Event::Store(position) => {
                    copy.position = Some(position);
                    *stored = copy.clone();
                    if random.below(4) == 0 {
                        return; // Killed between the store and its ACK.
                    }
                    session.stored(position);
                }
                Event::Subscribed(_) | Event::Heartbeat(_) => {}
                Event::Ended(end) => panic!("{end:?}"),
            }
            if random.below(60) == 0 {
                return; // Killed.
            }
        }
    }
    assert_eq!(copy.position.map_or(LOG, |position| position.log_id), LOG);
}

fn last_of(block: &[u8]) -> u64 {
    let base = u64::from_le_bytes(block[16..24].try_into().expect("eight bytes"));
    let count = u32::from_le_bytes(block[24..28].try_into().expect("four bytes"));
    base + u64::from(count) - 1
}
