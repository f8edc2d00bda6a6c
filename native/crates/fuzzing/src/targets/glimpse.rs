//! The end of a GLIMPSE snapshot: never an ITCH message, and it survives its encoding.

use tickdeck_wire::glimpse::{END_KIND, END_LEN, SnapshotEnd};
use tickdeck_wire::itch50;

pub(crate) fn run(bytes: &[u8]) {
    match SnapshotEnd::parse(bytes) {
        None => assert_ne!(bytes.first(), Some(&END_KIND)),
        Some(read) => {
            assert!(itch50::parse(bytes).is_err());
            match read {
                Ok(end) => {
                    assert!(bytes.len() == END_LEN && end.sequence > 0);
                    assert_eq!(SnapshotEnd::parse(&end.encode()), Some(Ok(end)));
                }
                Err(error) => assert!(!error.reason().is_empty()),
            }
        }
    }
}
