use proptest::prelude::*;

use super::*;

/// A row whose words are 1, 2, 3, … but for the two that are yes or no.
fn counted() -> LedgerRow {
    let words = std::array::from_fn(|index| index as u64 + 1);
    LedgerRow::from_words([0xab; 16], Session(*b"DEMO000001"), &words)
}

/// Proves the byte layout of a row, number by number, and that it comes back.
#[test]
fn the_row_layout_is_fixed() {
    let row = counted();
    let bytes = row.encode();
    assert_eq!(bytes.len(), 280);
    assert_eq!(bytes[..16], [0xab; 16]);
    assert_eq!(&bytes[16..26], b"DEMO000001");
    assert_eq!(bytes[26..32], [1, 0, 0, 0, 0, 0]);
    let word = |index: usize| word_at(&bytes, 32 + 8 * index);
    assert_eq!((word(0), row.id), (1, 1));
    assert_eq!((word(2), row.last), (3, 3));
    assert_eq!((word(3), row.state), (4, 4));
    assert_eq!((word(11), row.lines_missed), (12, 12));
    assert_eq!((word(12), row.slo_violated), (1, true));
    assert_eq!((word(15), row.channel), (16, 16));
    assert_eq!((word(20), row.by_line_a), (21, 21));
    assert_eq!((word(26), row.by_snapshot), (27, 27));
    assert_eq!((word(29), row.fault), (30, 30));
    assert_eq!((word(30), row.noted), (1, true));
    assert_eq!(LedgerRow::decode(&bytes), Ok(row));
}

/// Proves the byte layout of a note, and that it comes back.
#[test]
fn the_note_layout_is_fixed() {
    let note = LedgerNote {
        gap_id: 0x0102,
        at_ns: 3,
        actor: "ops",
        note: "line card swapped",
    };
    let mut out = [0xff; LedgerNote::MAX_LEN];
    let bytes = note.encode(&mut out);
    assert_eq!(bytes.len(), 24 + 3 + 17);
    assert_eq!(bytes[..10], [2, 1, 0, 0, 0, 0, 0, 0, 3, 0]);
    assert_eq!(bytes[16..24], [3, 0, 17, 0, 0, 0, 0, 0]);
    assert_eq!(&bytes[24..], b"opsline card swapped");
    assert_eq!(LedgerNote::decode(bytes), Ok(note));
}

/// Proves that texts which are too long are cut, and never inside of a character.
#[test]
fn long_texts_are_cut_between_characters() {
    let (actor, text) = ("é".repeat(40), format!("x{}", "é".repeat(400)));
    let note = LedgerNote {
        gap_id: 1,
        at_ns: 1,
        actor: &actor,
        note: &text,
    };
    let mut out = [0; LedgerNote::MAX_LEN];
    let kept = LedgerNote::decode(note.encode(&mut out)).expect("a note");
    assert_eq!((kept.actor.len(), kept.note.len()), (64, 511));
    assert!(actor.starts_with(kept.actor) && text.starts_with(kept.note));
}

/// Proves that what is no row and no note is refused with the field's name.
#[test]
fn bad_payloads_name_what_is_wrong() {
    let mut bytes = counted().encode();
    let short = LedgerRow::decode(&bytes[1..]).expect_err("too short");
    assert_eq!(
        short.to_string(),
        "a gap row payload has 280 bytes, not 279"
    );
    bytes[26] = 2;
    let newer = LedgerRow::decode(&bytes).expect_err("another version");
    assert_eq!(
        newer.to_string(),
        "2 is not a known version of a gap row payload"
    );
    let note = LedgerNote {
        gap_id: 1,
        at_ns: 1,
        actor: "a",
        note: "b",
    };
    let mut out = [0; LedgerNote::MAX_LEN];
    let mut bytes = note.encode(&mut out).to_vec();
    assert!(LedgerNote::decode(&bytes[..23]).is_err());
    assert!(LedgerNote::decode(&bytes[..25]).is_err());
    bytes[25] = 0xff;
    let text = LedgerNote::decode(&bytes).expect_err("not UTF-8");
    assert_eq!(
        text.to_string(),
        "255 is not a known note of a gap note payload"
    );
}

/// Proves that each word of the ledger has its number, and that there are no others.
#[test]
fn every_code_has_one_name() {
    let states: Vec<&str> = (0..=9).filter_map(state_name).collect();
    assert_eq!(states.len(), 7);
    assert_eq!(
        (state_name(5), state_name(7)),
        (Some("filled"), Some("snapshot"))
    );
    assert_eq!(
        (fault_code("none"), fault_code("disconnected")),
        (Some(0), Some(11))
    );
    assert_eq!(fault_code("late"), None);
    let names: Vec<&str> = source_names(0b111_0000_0101 | 1 << 40).collect();
    assert_eq!(names, ["A", "request", "stream", "peer", "snapshot"]);
    assert_eq!(SNAPSHOT_BIT, 1 << 10);
}

/// Proves whose loss a row says it is.
#[test]
fn a_row_says_on_how_many_lines_it_was_lost() {
    let row = LedgerRow {
        first: 10,
        last: 19,
        by_line_a: 0,
        by_line_b: 10,
        by_other_lines: 0,
        lines_missed: 1,
        ..counted()
    };
    assert_eq!(row.lost_on(), "one");
    assert_eq!(
        LedgerRow {
            lines_missed: 0,
            ..row
        }
        .lost_on(),
        "none"
    );
    let part = LedgerRow {
        by_line_b: 9,
        ..row
    };
    assert_eq!(part.lost_on(), "all");
    let young = LedgerRow {
        closed_ns: 0,
        waited_ns: 0,
        ..part
    };
    assert_eq!(young.lost_on(), "");
}

proptest! {
    /// Any row and any note come back as they were written; any bytes are read without a panic.
    #[test]
    fn rows_and_notes_come_back(
        incarnation in any::<[u8; 16]>(),
        session in any::<[u8; 10]>(),
        words in any::<[u64; WORDS]>(),
        gap_id in any::<u64>(),
        at_ns in any::<u64>(),
        actor in ".{0,16}",
        note in ".{0,100}",
        noise in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        let row = LedgerRow::from_words(incarnation, Session(session), &words);
        prop_assert_eq!(LedgerRow::decode(&row.encode()), Ok(row));
        let note = LedgerNote { gap_id, at_ns, actor: &actor, note: &note };
        let mut out = [0; LedgerNote::MAX_LEN];
        prop_assert_eq!(LedgerNote::decode(note.encode(&mut out)), Ok(note));
        let _ = LedgerRow::decode(&noise);
        let _ = LedgerNote::decode(&noise);
        row.lost_on();
    }
}
