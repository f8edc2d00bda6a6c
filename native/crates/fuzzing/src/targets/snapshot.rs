//! Any bytes as a snapshot of books, once as they are and once with length and digest made right, as
//! no fuzzer would ever find them: refused, or a channel that writes itself the same way again.

use tickdeck_book::hash::Width;
use tickdeck_book::snapshot::{self, SnapshotError};
use tickdeck_book::{BooksConfig, Channel, Itch, KeyScope};

use super::book_itch::SMALL;

/// Where the file's length stands.
const LENGTH_AT: usize = 72;

/// Prices and quantities of 64 bits.
pub const WIDE: BooksConfig = BooksConfig {
    width: Width::Wide,
    ..SMALL
};

/// Priorities as well, and references that are unique within an instrument.
pub const RANKED: BooksConfig = BooksConfig {
    scope: KeyScope::Book,
    has_priorities: true,
    ..WIDE
};

pub(crate) fn run(bytes: &[u8]) {
    for config in [SMALL, WIDE, RANKED] {
        check(bytes, config);
        let mut whole = bytes.to_vec();
        if let Some(field) = whole.get_mut(LENGTH_AT..LENGTH_AT + 8) {
            let length = bytes.len() as u64 + 32;
            field.copy_from_slice(&length.to_le_bytes());
            snapshot::seal(&mut whole);
            check(&whole, config);
        }
    }
}

fn check(bytes: &[u8], config: BooksConfig) {
    let restored = match snapshot::decode(bytes, Itch::new(config)) {
        Ok(restored) => restored,
        Err(error) => {
            if let SnapshotError::Invalid { offset, .. } = error {
                assert!(offset <= bytes.len());
            }
            return;
        }
    };
    let books = restored.channel.books();
    assert_eq!(books.check_invariants(), Ok(()));
    assert!(books.order_count() <= config.max_orders);
    let again = saved(&restored.channel, &restored.log_id, restored.created_ns);
    let twin = snapshot::decode(&again, Itch::new(config)).expect("our own snapshot");
    let other = saved(&twin.channel, &twin.log_id, twin.created_ns);
    assert!(again == other, "a snapshot writes itself again");
    for (one, other) in books.iter().zip(twin.channel.books().iter()) {
        assert_eq!(one.queue_sha256(), other.queue_sha256());
        assert_eq!(one.state_hash(), other.state_hash());
    }
}

fn saved(channel: &Channel<Itch>, log_id: &[u8; 16], created_ns: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    channel.encode_snapshot(log_id, created_ns, &mut bytes);
    snapshot::seal(&mut bytes);
    bytes
}
