//! A BinaryFILE: its messages are the blocks of the slow reading, and mending it changes no other.

use std::borrow::Cow;

use tickdeck_wire::binaryfile::{Messages, conform, push};
use tickdeck_wire::itch50::length_of;

use super::split_blocks;

pub(crate) fn run(bytes: &[u8]) {
    let (expected, rest) = split_blocks(bytes);
    let mut messages = Messages::new(bytes);
    let mut again = Vec::new();
    for expected in &expected {
        let message = messages.next().expect("a block").expect("a whole block");
        assert_eq!(message, *expected);
        push(&mut again, message).expect("a message that was read can be written");
        assert_eq!(messages.offset(), again.len());
    }
    assert_eq!(again, bytes[..bytes.len() - rest.len()]);
    if rest.is_empty() {
        assert_eq!(messages.next(), None);
    } else {
        let cut = messages.next().expect("an end").expect_err("a cut message");
        assert_eq!((cut.offset, cut.available), (again.len(), rest.len()));
        assert!(cut.needed > cut.available);
    }
    assert_eq!(messages.next(), None, "nothing follows the end");
    mend(bytes, &expected, rest.is_empty());
}

/// Each message stays or loses its excess, and what was mended needs no mending.
fn mend(bytes: &[u8], before: &[&[u8]], is_whole: bool) {
    let Ok(conformed) = conform(bytes) else {
        assert!(!is_whole, "a whole file can be mended");
        return;
    };
    assert!(is_whole, "a cut file is refused");
    let (after, rest) = split_blocks(&conformed.bytes);
    assert!(rest.is_empty());
    assert_eq!(before.len(), after.len());
    let mut narrowed = 0;
    for (before, after) in before.iter().zip(&after) {
        if before != after {
            narrowed += 1;
            assert_eq!(length_of(before[0]), Some(after.len()));
            assert!(after.len() < before.len());
            assert!(after.iter().all(|byte| before.contains(byte)));
        }
    }
    assert!(narrowed <= conformed.narrowed);
    let again = conform(&conformed.bytes).expect("a mended file is whole");
    assert_eq!(again.narrowed, 0);
    assert!(matches!(again.bytes, Cow::Borrowed(_)));
}
