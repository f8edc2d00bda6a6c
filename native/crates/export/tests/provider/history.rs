//! What the history of the head tells of lag, for as long as a limit can be set.

use proptest::prelude::*;
use tickdeck_export::provider::{Head, HeadHistory};

use crate::support::{MS, SECOND};

const DAY: u64 = 86_400 * SECOND;
/// A cell's time, while it is young.
const GRAIN: u64 = 60 * MS;

/// How a log grows: time between two notes, and records in one.
#[derive(Clone, Debug)]
struct Growth {
    pauses_ns: Vec<u64>,
    most_records: u64,
}

fn growth() -> impl Strategy<Value = Growth> {
    let pause = prop_oneof![
        8 => MS / 2..50 * MS,
        4 => 50 * MS..2 * SECOND,
        2 => 2 * SECOND..60 * SECOND,
        1 => 60 * SECOND..3_600 * SECOND,
    ];
    (prop::collection::vec(pause, 1..200), 1_u64..1_000).prop_map(|(pauses_ns, most_records)| {
        Growth {
            pauses_ns,
            most_records,
        }
    })
}

/// Notes for longer than a day, in an order that repeats; each as time, sequence and bytes.
fn grow(growth: &Growth, history: &mut HeadHistory) -> Vec<(u64, u64, u64)> {
    let (mut now_ns, mut seq, mut bytes) = (SECOND, 0, 0);
    let mut notes = Vec::new();
    for (turn, pause_ns) in growth.pauses_ns.iter().cycle().enumerate() {
        now_ns += pause_ns;
        let records = 1 + (turn as u64 * 7_919) % growth.most_records;
        (seq, bytes) = (seq + records, bytes + records * 150);
        notes.push((now_ns, seq, bytes));
        history.note(now_ns, Head { seq, bytes });
        assert!(history.cells() <= HeadHistory::CAPACITY);
        if now_ns > DAY + 3_600 * SECOND || notes.len() == 60_000 {
            return notes;
        }
    }
    notes
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    /// A lag of any time up to a day and of any log is told never too short, and too long by at most
    /// a grain or a 64th; its bytes are right where records are of one length.
    #[test]
    fn lag_is_right_for_a_day(growth in growth(), later in 0..10 * SECOND) {
        let mut history = HeadHistory::default();
        let notes = grow(&growth, &mut history);
        let (last_ns, last_seq, last_bytes) = notes[notes.len() - 1];
        let now_ns = last_ns + later;
        for pair in notes.windows(2).step_by(1 + notes.len() / 3_000) {
            let ((_, seq, bytes), (came_ns, ..)) = (pair[0], pair[1]);
            let (exact, told) = (now_ns - came_ns, history.age_ns(now_ns, seq));
            prop_assert!(told >= exact, "{told} for {exact}");
            prop_assert!(told - exact <= GRAIN.max(exact / 64), "{told} for {exact}");
            prop_assert_eq!(history.bytes_behind(seq), last_bytes - bytes);
        }
        prop_assert_eq!(history.age_ns(now_ns, last_seq), 0);
    }
}

/// Without end, memory is bounded and the newest minute stays as fine as ever.
#[test]
fn a_year_is_remembered_in_bounded_memory() {
    let mut history = HeadHistory::default();
    let (mut now_ns, mut seq) = (0, 0);
    let mut note = |history: &mut HeadHistory, pause_ns| {
        now_ns += pause_ns;
        seq += 1;
        let bytes = seq * 100;
        history.note(now_ns, Head { seq, bytes });
        (now_ns, seq)
    };
    for _ in 0..365 * 24 * 60 {
        note(&mut history, 60 * SECOND);
    }
    let mut now = (0, 0);
    for _ in 0..20_000 {
        now = note(&mut history, 10 * MS);
        assert!(history.cells() <= HeadHistory::CAPACITY);
    }
    for behind in 1..5_000 {
        let (exact, told) = (
            (behind - 1) * 10 * MS,
            history.age_ns(now.0, now.1 - behind),
        );
        assert!(
            (exact..=exact + GRAIN).contains(&told),
            "{told} for {exact}"
        );
    }
    let (first, whole) = (history.age_ns(now.0, 1), 365 * DAY);
    assert!(
        first <= whole + 200 * SECOND && first > whole - 600 * SECOND,
        "{first}"
    );
}
