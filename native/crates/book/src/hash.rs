//! Two hashes of a book, for two questions.
//!
//! [`queue_sha256`] proves the whole state, the queue of each level included, against any other
//! program that can sort orders. [`state_hash`] tells quickly whether two books hold the same
//! orders: it is a sum, so neither the order of insertion nor the way the orders lie in memory
//! matters, and it is the same before and after a restart, on any machine and in any version.

use sha2::{Digest, Sha256};

use crate::types::OrderView;

/// How wide prices and quantities are where orders are written down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Width {
    /// 32 bits each, as ITCH has them on the wire.
    #[default]
    Narrow,
    /// 64 bits each.
    Wide,
}

/// SHA-256 over orders given in price-time order, bids before asks.
///
/// Each order is its side character (`B`, `S`), price, reference u64 and shares, the numbers
/// big-endian; price and shares u32 where they are narrow (17 bytes), else i64 and u64 (25 bytes).
/// Orders come bids by falling, then asks by rising price, each level in queue order.
pub fn queue_sha256(orders: impl Iterator<Item = OrderView>, width: Width) -> [u8; 32] {
    let mut digest = Sha256::new();
    for order in orders {
        digest.update([order.side.wire()]);
        match width {
            // A narrow venue's numbers came as 32 bits.
            Width::Narrow => digest.update((order.price as u32).to_be_bytes()),
            Width::Wide => digest.update(order.price.to_be_bytes()),
        }
        digest.update(order.reference.to_be_bytes());
        match width {
            Width::Narrow => digest.update((order.quantity as u32).to_be_bytes()),
            Width::Wide => digest.update(order.quantity.to_be_bytes()),
        }
    }
    digest.finalize().into()
}

/// 64-bit hash of a set of orders.
///
/// Per order `mix(mix(mix(reference) ^ terms) ^ side character)`, summed modulo 2^64 over all
/// orders, then `mix(sum ^ number of orders)`, where `mix` is the output function of SplitMix64.
/// Terms are `price << 32 | shares` where both are 32-bit numbers, else `mix(price) ^ shares`.
/// Finds differences, but does not resist somebody who constructs them.
pub fn state_hash(orders: impl Iterator<Item = OrderView>) -> u64 {
    let (mut sum, mut count) = (0_u64, 0_u64);
    for order in orders {
        sum = sum.wrapping_add(order_hash(order));
        count += 1;
    }
    mix(sum ^ count)
}

/// What one order adds to the sum of a [`state_hash`].
#[inline]
pub(crate) fn order_hash(order: OrderView) -> u64 {
    let terms = match (u32::try_from(order.price), u32::try_from(order.quantity)) {
        (Ok(price), Ok(quantity)) => u64::from(price) << 32 | u64::from(quantity),
        _ => mix(order.price.cast_unsigned()) ^ order.quantity,
    };
    mix(mix(mix(order.reference) ^ terms) ^ u64::from(order.side.wire()))
}

/// 64-bit hash of the orders of several instruments.
///
/// As [`state_hash`], with `mix(hash of the order ^ mix(instrument))` for each order, so that an
/// order counts as another one in another book. Empty books leave no trace.
pub(crate) fn channel_hash(orders: impl Iterator<Item = (i64, OrderView)>) -> u64 {
    let (mut sum, mut count) = (0_u64, 0_u64);
    for (instrument, order) in orders {
        let place = mix(instrument.cast_unsigned());
        sum = sum.wrapping_add(mix(order_hash(order) ^ place));
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
#[inline]
pub(crate) fn mix(value: u64) -> u64 {
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
            hex(&queue_sha256(std::iter::empty(), Width::Narrow))[..16],
            *"e3b0c44298fc1c14"
        );
        let bytes = b"B\x00\x00\x00\x64\x00\x00\x00\x00\x00\x00\x00\x07\x00\x00\x00\x05";
        let expected: [u8; 32] = Sha256::digest(bytes).into();
        assert_eq!(
            queue_sha256(std::iter::once(ORDER), Width::Narrow),
            expected
        );
        let wide = OrderView {
            price: -1,
            quantity: 1 << 40,
            ..ORDER
        };
        assert_eq!(state_hash(std::iter::once(wide)), 0x4DE2_CF77_15B6_BDE6);
        let bytes = b"B\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00\x00\x00\x00\x07\
                      \x00\x00\x01\x00\x00\x00\x00\x00";
        let expected: [u8; 32] = Sha256::digest(bytes).into();
        assert_eq!(queue_sha256(std::iter::once(wide), Width::Wide), expected);
        let asked = OrderView {
            side: Side::Ask,
            ..wide
        };
        assert_eq!(channel_hash(std::iter::empty()), 0xE220_A839_7B1D_CDAF);
        assert_eq!(
            channel_hash([(1, ORDER)].into_iter()),
            0x2417_C19B_169E_0509
        );
        assert_eq!(
            channel_hash([(-2, asked)].into_iter()),
            0xE797_1C6E_4B8C_0E23
        );
    }
}
