//! Small value types: side, symbol, one level and one order as a reader sees them.

use std::fmt;

use serde::Serialize;

/// The side of the book an order rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Side {
    /// Buy orders; the highest price is best. `B` on the wire.
    Bid,
    /// Sell orders; the lowest price is best. `S` on the wire.
    Ask,
}

impl Side {
    /// Both sides, bids first: the order of every hash, snapshot and listing.
    pub const BOTH: [Side; 2] = [Side::Bid, Side::Ask];

    /// The side character of ITCH 5.0 (§ add order): `B` or `S`.
    pub fn wire(self) -> u8 {
        match self {
            Side::Bid => b'B',
            Side::Ask => b'S',
        }
    }

    /// The side for a wire character, if it is one.
    pub fn from_wire(character: u8) -> Option<Self> {
        match character {
            b'B' => Some(Side::Bid),
            b'S' => Some(Side::Ask),
            _ => None,
        }
    }

    /// 0 for bids, 1 for asks.
    pub fn index(self) -> usize {
        self as usize
    }

    /// A key that grows towards the best price: the price itself for bids, its complement for asks.
    ///
    /// One ascending array with the best at its end then serves both sides.
    #[inline]
    pub(crate) fn key(self, price: i64) -> i64 {
        match self {
            Side::Bid => price,
            Side::Ask => !price,
        }
    }
}

/// The name of an instrument: up to 24 bytes, without its padding.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Symbol([u8; Symbol::MAX_LEN]);

impl Symbol {
    /// The longest name kept, in bytes.
    pub const MAX_LEN: usize = 24;

    /// Takes a space- or zero-padded name from the wire. Bytes beyond [`Self::MAX_LEN`] are cut.
    pub fn from_padded(padded: &[u8]) -> Self {
        let kept = padded.len() - trailing_padding(padded);
        let mut bytes = [0; Self::MAX_LEN];
        for (to, from) in bytes.iter_mut().zip(&padded[..kept]) {
            *to = *from;
        }
        Self(bytes)
    }

    /// The number of an instrument that the venue gives no name, in decimal digits.
    pub fn from_number(instrument: i64) -> Self {
        Self::from_padded(instrument.to_string().as_bytes())
    }

    /// The name without padding.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0[..self.0.len() - trailing_padding(&self.0)]
    }

    /// The name padded with zeros, as it stands in a snapshot.
    pub(crate) fn padded(&self) -> &[u8; Self::MAX_LEN] {
        &self.0
    }
}

impl fmt::Display for Symbol {
    /// Prints the name; bytes that are not printable ASCII appear escaped (`\xff`).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.as_bytes().escape_ascii())
    }
}

impl fmt::Debug for Symbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Symbol({self})")
    }
}

/// The handle of one book within its [`crate::Books`]; valid until the books are cleared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BookId(pub(crate) u32);

/// One price level as a reader sees it. Serialises as `[price, quantity, orders]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LevelView {
    /// Price in the venue's own scale (ITCH: 10⁻⁴, EOBI: 10⁻⁸, CME: 10⁻⁷ or 10⁻⁹).
    pub price: i64,
    /// Sum of the shares of all orders at this price.
    pub quantity: u64,
    /// How many orders rest here.
    pub orders: u32,
}

impl Serialize for LevelView {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (self.price, self.quantity, self.orders).serialize(serializer)
    }
}

/// One resting order as a reader sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrderView {
    /// The side it rests on.
    pub side: Side,
    /// Price in the venue's own scale.
    pub price: i64,
    /// The venue's order reference (EOBI: the priority time stamp, CME: OrderID).
    pub reference: u64,
    /// Shares left, in the venue's own scale (EOBI: 10⁻⁴); never 0.
    pub quantity: u64,
}

fn trailing_padding(bytes: &[u8]) -> usize {
    bytes
        .iter()
        .rev()
        .take_while(|byte| matches!(byte, b' ' | 0))
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Padding of either kind is not part of a name, and inner spaces are.
    #[test]
    fn symbol_drops_only_padding() {
        assert_eq!(Symbol::from_padded(b"ESH4    ").as_bytes(), b"ESH4");
        assert_eq!(Symbol::from_padded(b"ESH4").as_bytes(), b"ESH4");
        assert_eq!(Symbol::from_padded(b"A B     ").as_bytes(), b"A B");
        assert_eq!(Symbol::from_padded(b"        ").as_bytes(), b"");
        assert_eq!(Symbol::from_padded(&[0xFF; 30]).as_bytes(), [0xFF; 24]);
    }

    /// A hostile name cannot print control characters.
    #[test]
    fn symbol_prints_escaped() {
        assert_eq!(
            Symbol::from_padded(b"A\x1b[2J\xff  ").to_string(),
            "A\\x1b[2J\\xff"
        );
    }

    /// Keys of both sides grow towards the better price.
    #[test]
    fn keys_grow_towards_the_best() {
        assert!(Side::Bid.key(101) > Side::Bid.key(100));
        assert!(Side::Ask.key(100) > Side::Ask.key(101));
        assert!(Side::Ask.key(-1) > Side::Ask.key(0));
        assert!(Side::Ask.key(i64::MIN) > Side::Ask.key(i64::MAX));
    }
}
