//! Both ways together against a standard map.

use std::collections::HashMap;

use proptest::prelude::*;

use super::paged::PAGE_SLOTS;
use super::*;

/// One page in references.
const PAGE: u64 = PAGE_SLOTS as u64;
/// So far apart are references that have the same place in the directory.
const TURN: u64 = PAGE << 12;

fn key(reference: u64) -> OrderKey {
    OrderKey { reference, tag: 0 }
}

/// Agreement with a map on every key that was ever used.
fn agree(index: &OrderIndex, map: &HashMap<u64, u32>, used: &[u64]) -> Result<(), TestCaseError> {
    prop_assert_eq!(index.len(), map.len());
    for reference in used {
        prop_assert_eq!(index.get(key(*reference)), map.get(reference).copied());
    }
    Ok(())
}

/// What a step does with references from `start` on.
#[derive(Clone, Debug)]
enum Step {
    /// Adds so many, so far apart: a venue that numbers upwards, or one that does not.
    Add { start: u64, count: u64, stride: u64 },
    /// Removes those at every so-manieth of all references used so far.
    Remove { every: usize },
}

fn step() -> impl Strategy<Value = Step> {
    let start = prop_oneof![
        4 => 0..8 * PAGE,
        2 => (0..4 * PAGE).prop_map(|n| n + TURN),
        1 => (0..4 * PAGE).prop_map(|n| n + 2 * TURN),
        1 => (0..4 * PAGE).prop_map(|n| u64::MAX - n),
        1 => any::<u64>(),
    ];
    let stride = prop_oneof![4 => 1..4u64, 1 => 2_000..8_000u64, 1 => any::<u64>()];
    let add = (start, 1..600u64, stride).prop_map(|(start, count, stride)| Step::Add {
        start,
        count,
        stride,
    });
    prop_oneof![3 => add, 2 => (1..4usize).prop_map(|every| Step::Remove { every })]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Runs of rising references, jumps, turns of the directory, references at the end of the
    /// range and removals in any order leave exactly what a standard map holds.
    #[test]
    fn agrees_with_a_standard_map(steps in prop::collection::vec(step(), 1..24)) {
        let mut index = OrderIndex::new(64, true);
        let mut map = HashMap::new();
        let mut used = Vec::new();
        for step in steps {
            match step {
                Step::Add { start, count, stride } => {
                    for n in 0..count {
                        let reference = start.wrapping_add(n.wrapping_mul(stride));
                        let order = used.len() as u32;
                        let twin = map.get(&reference).copied();
                        let inserted = index.insert(key(reference), order);
                        prop_assert_eq!(inserted, twin.map_or(Ok(()), Err));
                        map.entry(reference).or_insert(order);
                        used.push(reference);
                    }
                }
                Step::Remove { every } => {
                    for reference in used.iter().step_by(every) {
                        prop_assert_eq!(index.remove(key(*reference)), map.remove(reference));
                    }
                }
            }
            agree(&index, &map, &used)?;
        }
        index.clear();
        map.clear();
        agree(&index, &map, &used)?;
    }
}

/// Rising references come into pages; what goes to the table before the first page is open moves.
#[test]
fn rising_references_are_paged() {
    let mut index = OrderIndex::new(1_000, true);
    for n in 0..20_000_u64 {
        assert_eq!(index.insert(key(1_000 + n), n as u32), Ok(()));
    }
    assert_eq!(
        index.hashed.len(),
        0,
        "the first page took over what was hashed before it was open"
    );
    assert_eq!(index.len(), 20_000);
    assert_eq!(index.get(key(1_000)), Some(0));
    assert_eq!(index.get(key(20_999)), Some(19_999));
}

/// References that lie too far apart, or anywhere, get no pages: memory stays that of the table.
#[test]
fn sparse_references_are_hashed() {
    for stride in [200, 5_000, 0x9E37_79B9_7F4A_7C15] {
        let mut index = OrderIndex::new(1_000, true);
        for n in 0..20_000_u64 {
            assert_eq!(index.insert(key(n.wrapping_mul(stride)), n as u32), Ok(()));
        }
        let paged = index.paged.as_ref().unwrap().len();
        assert!(paged < 1_000, "stride {stride}: {paged} in pages");
    }
}

/// Two million references of which few live need no more memory than those at one time.
#[test]
fn dead_pages_are_used_again() {
    let mut index = OrderIndex::new(1_000, true);
    let reserved = index.grows();
    for n in 0..2_000_000_u64 {
        assert_eq!(index.insert(key(n), n as u32), Ok(()));
        if n >= 1_000 {
            assert_eq!(index.remove(key(n - 1_000)), Some((n - 1_000) as u32));
        }
    }
    assert_eq!(index.len(), 1_000);
    assert_eq!(index.grows(), reserved, "no growth");
}

/// A page that a turn of the directory displaces hands its orders to the table.
#[test]
fn a_displaced_page_keeps_its_orders() {
    let mut index = OrderIndex::new(1_000, true);
    for turn in 0..3 {
        for n in 0..600 {
            assert_eq!(
                index.insert(key(turn * TURN + 5 * PAGE + n), (turn * 1_000 + n) as u32),
                Ok(())
            );
        }
    }
    assert_eq!(index.len(), 1_800);
    assert!(index.hashed.len() >= 1_200, "two displaced pages");
    for turn in 0..3 {
        for n in 0..600 {
            let expected = Some((turn * 1_000 + n) as u32);
            assert_eq!(index.remove(key(turn * TURN + 5 * PAGE + n)), expected);
        }
    }
    assert_eq!(index.len(), 0);
}

/// Keys with tags are in the table only, whatever their references.
#[test]
fn keys_with_tags_are_hashed() {
    let mut index = OrderIndex::new(8, false);
    for tag in 1..4 {
        for reference in 0..100 {
            assert_eq!(
                index.insert(OrderKey { reference, tag }, tag * 100 + reference as u32),
                Ok(())
            );
        }
    }
    assert_eq!(index.len(), 300);
    assert_eq!(
        index.get(OrderKey {
            reference: 7,
            tag: 2
        }),
        Some(207)
    );
    assert_eq!(
        index.remove(OrderKey {
            reference: 7,
            tag: 3
        }),
        Some(307)
    );
    assert_eq!(
        index.get(OrderKey {
            reference: 7,
            tag: 3
        }),
        None
    );
}
