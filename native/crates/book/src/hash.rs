//! Two hashes of a book, for two questions.
//!
//! [`queue_sha256`] proves the whole state, the queue of each level included, against any other
//! program that can sort orders. [`state_hash`] tells quickly whether two books hold the same
//! orders: it is a sum, so neither the order of insertion nor the way the orders lie in memory
//! matters, and it is the same before and after a restart, on any machine and in any version.

use sha2::{Digest, Sha256};

use crate::types::OrderView;

/// SHA-256 over orders given in price-time order, bids before asks.
///
/// Each order is 17 bytes: side character (`B`, `S`), price u32, reference u64, shares u32, the
/// numbers big-endian. Orders come bids by falling, then asks by rising price, each level in queue
/// order.
pub fn queue_sha256(orders: impl Iterator<Item = OrderView>) -> [u8; 32] {
    let mut digest = Sha256::new();
    for order in orders {
        let mut bytes = [0; 17];
        bytes[0] = order.side.wire();
        bytes[1..5].copy_from_slice(&order.price.to_be_bytes());
        bytes[5..13].copy_from_slice(&order.reference.to_be_bytes());
        bytes[13..].copy_from_slice(&order.quantity.to_be_bytes());
        digest.update(bytes);
    }
    digest.finalize().into()
}

/// 64-bit hash of a set of orders.
///
/// Per order `mix(mix(mix(reference) ^ (price << 32 | shares)) ^ side character)`, summed modulo
/// 2^64 over all orders, then `mix(sum ^ number of orders)`, where `mix` is the output function of
/// SplitMix64. Finds differences, but does not resist somebody who constructs them.
pub fn state_hash(orders: impl Iterator<Item = OrderView>) -> u64 {
    let (mut sum, mut count) = (0_u64, 0_u64);
    for order in orders {
        let terms = u64::from(order.price) << 32 | u64::from(order.quantity);
        let hash = mix(mix(mix(order.reference) ^ terms) ^ u64::from(order.side.wire()));
        sum = sum.wrapping_add(hash);
        count += 1;
    }
    mix(sum ^ count)
}

/// The bytes as lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Output function of SplitMix64 (Steele, Lea, Flood 2014), with its increment first so that 0 is
/// not a fixed point.
fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Side;

    const ORDER: OrderView = OrderView {
        side: Side::Bid,
        price: 100,
        reference: 7,
        quantity: 5,
    };

    /// The state hash ignores the order of insertion and notices a change of any field.
    #[test]
    fn state_hash_is_of_the_set() {
        let other = OrderView {
            reference: 8,
            ..ORDER
        };
        let hash = |orders: &[OrderView]| state_hash(orders.iter().copied());
        assert_eq!(hash(&[ORDER, other]), hash(&[other, ORDER]));
        let changes = [
            OrderView {
                side: Side::Ask,
                ..ORDER
            },
            OrderView {
                price: 101,
                ..ORDER
            },
            OrderView {
                reference: 9,
                ..ORDER
            },
            OrderView {
                quantity: 6,
                ..ORDER
            },
        ];
        for changed in changes {
            assert_ne!(
                hash(&[ORDER, other]),
                hash(&[changed, other]),
                "{changed:?}"
            );
        }
        assert_ne!(hash(&[]), hash(&[ORDER]));
    }

    /// The values are part of stored checkpoints: they may never change.
    #[test]
    fn hashes_are_stable() {
        assert_eq!(state_hash(std::iter::once(ORDER)), 0xDC11_DB64_75FC_FA2E);
        assert_eq!(
            hex(&queue_sha256(std::iter::empty()))[..16],
            *"e3b0c44298fc1c14"
        );
        let bytes = b"B\x00\x00\x00\x64\x00\x00\x00\x00\x00\x00\x00\x07\x00\x00\x00\x05";
        let expected: [u8; 32] = Sha256::digest(bytes).into();
        assert_eq!(queue_sha256(std::iter::once(ORDER)), expected);
    }
}
