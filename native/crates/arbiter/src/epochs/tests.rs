use proptest::prelude::*;

use super::*;

const S: u64 = 1_000_000_000;

/// One venue's epochs with helpers that say number and time.
struct Rig(Epochs);

impl Rig {
    fn new() -> Self {
        Self(Epochs::new())
    }

    /// The epoch's number, or why the packet was refused.
    fn packet(&mut self, line: u8, sequence: u64, time_ns: u64) -> Result<u32, &'static str> {
        self.0.judge(line, sequence, time_ns, false, time_ns)?;
        Ok(self.0.number)
    }

    fn announced(&mut self, line: u8, sequence: u64, time_ns: u64) -> Result<u32, &'static str> {
        self.0.judge(line, sequence, time_ns, true, time_ns)?;
        Ok(self.0.number)
    }

    /// Both lines up to number 100 at 100 s, a packet each second.
    fn at_100() -> Self {
        let mut rig = Self::new();
        for number in 90..=100 {
            for line in [0, 1] {
                assert_eq!(rig.packet(line, number, number * S), Ok(1));
            }
        }
        rig
    }
}

const REFUSED: Result<u32, &str> = Err(UNCONFIRMED_RESET);
const OLD: Result<u32, &str> = Err(STRAGGLER);

/// Losses, late copies and second copies stay in the epoch.
#[test]
fn disorder_is_no_reset() {
    let mut rig = Rig::new();
    for number in [5, 6, 9, 7, 8, 8, 9, 12, 10, 5, 13] {
        assert_eq!(rig.packet(0, number, number * S), Ok(1), "{number}");
    }
    // Of the first epoch nobody knows where it began.
    assert_eq!(rig.packet(1, 2, 2 * S), Ok(1));
}

/// The other line confirms a reset at once, and its copy of the first packet is not lost.
#[test]
fn other_line_confirms() {
    let mut rig = Rig::at_100();
    assert_eq!(rig.packet(0, 1, 200 * S), REFUSED);
    assert_eq!(rig.packet(1, 1, 200 * S), Ok(2));
    assert_eq!(rig.packet(0, 2, 201 * S), Ok(2));
    assert_eq!(rig.0.reset(), Reset::Unannounced);
    assert_eq!(rig.0.session(), Some(Session(*b"EPOCH00002")));
}

/// The line itself confirms by going on; the other follows with its first packet, also when its
/// copies are stamped a little earlier.
#[test]
fn same_line_confirms_by_going_on() {
    let mut rig = Rig::at_100();
    assert_eq!(rig.packet(0, 1, 200 * S), REFUSED);
    assert_eq!(
        rig.packet(0, 1, 200 * S),
        REFUSED,
        "a copy confirms nothing"
    );
    assert_eq!(rig.packet(0, 2, 201 * S), Ok(2));
    assert_eq!(rig.packet(1, 1, 200 * S - 40_000), Ok(2));
    assert_eq!(rig.packet(1, 2, 201 * S - 40_000), Ok(2));
    assert_eq!(rig.0.counters().resets, 1);
}

/// What the old sender's packets look like on a line that is behind, or late on one that is not:
/// refused, counted, never of the new epoch.
#[test]
fn stragglers_are_refused() {
    let mut rig = Rig::at_100();
    rig.packet(0, 1, 200 * S).expect_err("a claim");
    assert_eq!(rig.packet(0, 2, 201 * S), Ok(2));
    assert_eq!(rig.packet(1, 101, 101 * S), OLD);
    assert_eq!(rig.packet(0, 101, 101 * S), OLD);
    assert_eq!(rig.packet(1, 100, 100 * S), OLD);
    assert_eq!(rig.packet(1, 1, 200 * S), Ok(2));
    assert_eq!(rig.packet(1, 102, 102 * S), OLD);
    assert_eq!(rig.0.counters().stragglers, 4);
}

/// One packet, whatever it says, ends no epoch: the line goes on and the claim is taken back, so
/// that a second forged packet long after finds none.
#[test]
fn one_forged_packet_ends_nothing() {
    for forged in [(1, 200), (50, 101), (100, 1_000_000)] {
        for announces in [false, true] {
            let mut rig = Rig::at_100();
            let (number, at) = forged;
            let verdict = rig.0.judge(0, number, at * S, announces, 0);
            assert!(verdict.is_ok() || verdict == Err(UNCONFIRMED_RESET));
            for number in 101..=110 {
                for line in [0, 1] {
                    assert_eq!(rig.packet(line, number, number * S), Ok(1), "{forged:?}");
                }
            }
            assert_eq!(rig.0.counters().resets, 0);
            assert!(rig.0.lines.iter().all(|line| line.claim.is_none()));
        }
    }
}

/// A forged number far ahead spoils no line: what follows it is neither a reset nor refused, and
/// a real reset behind it is still seen.
#[test]
fn forged_number_ahead_spoils_nothing() {
    for (number, at) in [
        (500, 100),
        (1 << 31, 100),
        (101, 1_000_000),
        (1 << 31, 1_000_000),
    ] {
        let mut rig = Rig::at_100();
        assert_eq!(rig.packet(0, number, at * S), Ok(1));
        for number in 101..=110 {
            assert_eq!(
                rig.packet(0, number, number * S),
                Ok(1),
                "{number} behind {at}"
            );
        }
        assert_eq!(rig.0.counters().unconfirmed, 0);
        assert_eq!(rig.packet(0, 1, 200 * S), REFUSED);
        assert_eq!(rig.packet(0, 2, 201 * S), Ok(2));
    }
}

/// A first packet with a forged time, or a clock that was hours ahead and is set back, does not hide
/// the next reset: two packets of the line agree on where it goes on.
#[test]
fn time_far_ahead_hides_no_reset() {
    for wrong in [&[(7, 9_000_000)][..], &[(8, 3_608), (9, 3_609)]] {
        let mut rig = Rig::new();
        let right = (10..=20).map(|number| (number, number));
        for (number, at) in wrong.iter().copied().chain(right) {
            for line in [0, 1] {
                assert_eq!(rig.packet(line, number, at * S), Ok(1));
            }
        }
        rig.packet(0, 1, 200 * S).expect_err("a claim");
        assert_eq!(rig.packet(0, 18, 18 * S), Ok(1), "late");
        assert_eq!(rig.packet(1, 1, 200 * S), Ok(2), "{wrong:?}");
        assert_eq!(rig.packet(0, 2, 201 * S), Ok(2));
    }
}

/// An announced reset needs the same confirmation, whatever its numbers, and says so.
#[test]
fn announced_reset() {
    let mut rig = Rig::new();
    rig.packet(0, 3, 3 * S).expect("the first");
    rig.packet(1, 3, 3 * S).expect("the first");
    // The first packets are missed: the numbers alone would look like the line going on.
    assert_eq!(rig.announced(0, 5, 100 * S), REFUSED);
    assert_eq!(rig.announced(1, 5, 100 * S + 5), Ok(2));
    assert_eq!(rig.0.reset(), Reset::Announced);
    assert_eq!(rig.announced(0, 6, 101 * S), Ok(2), "of the same reset");
    assert_eq!(rig.packet(0, 7, 102 * S), Ok(2));
    assert_eq!(rig.0.counters().resets_announced, 1);
    // The next one.
    assert_eq!(rig.announced(0, 1, 200 * S), REFUSED);
    assert_eq!(rig.announced(0, 2, 201 * S), Ok(3));
}

/// At the end of 32 bits the numbers begin again: a reset like any other.
#[test]
fn numbers_wrap_at_32_bits() {
    let mut rig = Rig::new();
    let top = u64::from(u32::MAX);
    for (number, at) in [(top - 2, 1), (top - 1, 2), (top, 3)] {
        for line in [0, 1] {
            assert_eq!(rig.packet(line, number, at * S), Ok(1));
        }
    }
    assert_eq!(rig.packet(0, 1, 4 * S), REFUSED);
    assert_eq!(rig.packet(1, 1, 4 * S), Ok(2));
    assert_eq!(rig.packet(0, 2, 5 * S), Ok(2));
    assert_eq!(rig.packet(1, top, 3 * S), OLD);
}

/// A resumed epoch goes on under its name; a reset that came meanwhile is seen and confirmed.
#[test]
fn resumed_epoch_continues() {
    let resume = || Rig(Epochs::resume(Session(*b"EPOCH00041"), 100, 100 * S).expect("an epoch"));
    let mut rig = resume();
    assert_eq!(rig.packet(0, 101, 101 * S), Ok(41));
    assert_eq!(rig.packet(1, 99, 99 * S), Ok(41), "a late copy");
    let mut rig = resume();
    assert_eq!(rig.packet(0, 7, 300 * S), REFUSED);
    assert_eq!(rig.packet(1, 7, 300 * S), Ok(42));
    for name in [b"EPOCH00000", b"EPOCH1    ", b"EPOCH+0001", b"MONDAY    "] {
        assert!(Epochs::resume(Session(*name), 1, 1).is_none(), "{name:?}");
    }
}

/// A claim that nothing confirms for long is forgotten.
#[test]
fn old_claim_confirms_nothing() {
    let mut rig = Rig::at_100();
    rig.0.judge(0, 1, 200 * S, false, 0).expect_err("a claim");
    let verdict = rig.0.judge(1, 1, 200 * S, false, CLAIM_NS);
    assert_eq!(verdict, Err(UNCONFIRMED_RESET));
}

/// The name counts in five digits and then begins again.
#[test]
fn names_count() {
    assert_eq!(name_of(1), Session(*b"EPOCH00001"));
    assert_eq!(number_of(name_of(MOST)), Some(MOST));
    let mut rig = Rig(Epochs::resume(name_of(MOST), 9, 9).expect("an epoch"));
    rig.packet(0, 1, 20 * S).expect_err("a claim");
    assert_eq!(rig.packet(1, 1, 20 * S), Ok(1));
}

/// An answer is of this epoch when it was sent between the packets around it: one of the same
/// number from a host whose count of epochs is ahead or behind is refused, on a line's first epoch
/// and after a resume too.
#[test]
fn answers_of_another_epoch_are_refused() {
    let resumed = Rig(Epochs::resume(Session(*b"EPOCH00001"), 90, 90 * S).expect("an epoch"));
    for mut rig in [Rig::at_100(), resumed] {
        assert_eq!(rig.packet(0, 120, 120 * S), Ok(1));
        assert_eq!(rig.packet(0, 121, 121 * S), Ok(1));
        assert_eq!(rig.0.judge_answer(110, 110 * S), Ok(()));
        assert_eq!(
            rig.0.judge_answer(110, 50 * S),
            Err(STRAGGLER),
            "a week before"
        );
        assert_eq!(
            rig.0.judge_answer(110, 500 * S),
            Err(STRAGGLER),
            "a week later"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// A venue with several epochs, lines that lose, repeat, reorder and lag, clocks that differ
    /// between the lines: no packet is ever taken for one of another epoch, and in the end both
    /// lines are in the last.
    #[test]
    fn no_packet_is_of_another_epoch(
        lengths in proptest::collection::vec(20..60u64, 1..5),
        script in proptest::collection::vec((0..2u8, 0..6u64, 0..10u8), 50..500),
        skew_ns in 0..1_000_000u64,
    ) {
        // Each packet of the venue: its epoch, number, and when it was sent.
        let mut sent = Vec::new();
        let mut at = S;
        for (epoch, length) in (1u32..).zip(&lengths) {
            for number in 1..=*length {
                sent.push((epoch, number, at));
                at += 5_000_000;
            }
            at += 10 * S;
        }
        let mut rig = Rig::new();
        let mut places = [0usize; 2];
        let feed = |rig: &mut Rig, line: u8, place: usize| {
            let (epoch, number, time_ns) = sent[place];
            let time_ns = time_ns + u64::from(line) * skew_ns;
            match rig.packet(line, number, time_ns) {
                Ok(taken) => prop_assert_eq!(taken, epoch, "number {} on {}", number, line),
                Err(reason) => prop_assert!(
                    reason == STRAGGLER || reason == UNCONFIRMED_RESET,
                    "{}", reason
                ),
            }
            Ok(())
        };
        for (line, back, kind) in script {
            let place = &mut places[usize::from(line)];
            match kind {
                0 => *place += 1,
                1 => feed(&mut rig, line, place.saturating_sub(back as usize).min(sent.len() - 1))?,
                _ => {}
            }
            if *place < sent.len() {
                feed(&mut rig, line, *place)?;
                *place += 1;
            }
        }
        for line in [0u8, 1] {
            for place in places[usize::from(line)]..sent.len() {
                feed(&mut rig, line, place)?;
            }
        }
        prop_assert_eq!(rig.0.number, lengths.len() as u32);
        let last = lengths.len() as u32;
        prop_assert!(rig.0.lines[..2].iter().all(|line| line.epoch == last));
    }
}
