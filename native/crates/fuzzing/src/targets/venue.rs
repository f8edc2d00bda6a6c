//! The venues of the book worker, which are private there: their sources are compiled here again.

#[allow(dead_code, reason = "the worker uses more of them than the targets do")]
#[path = "../../../worker/src/book/venue"]
mod sources {
    pub(super) mod cme;
    pub(super) mod eobi;
}

use tickdeck_book::BooksConfig;
use tickdeck_wire::cme;
use tickdeck_wire::eobi::{self, Release};

use super::book_itch::SMALL;
use super::channel::{Protocol, follow};
use sources::cme::CmeVenue;
use sources::eobi::EobiVenue;

/// Room for the orders of a short session.
const MEDIUM: BooksConfig = BooksConfig {
    max_orders: 64,
    ..SMALL
};

/// Records of a CME channel.
pub(crate) fn run_cme(bytes: &[u8]) {
    follow(bytes, &CME);
}

const CME: Protocol<CmeVenue> = Protocol {
    venue: || CmeVenue::new(SMALL),
    number: |packet| Some(cme::Packet::parse(packet).ok()?.sequence().into()),
    is_saved_whole: false,
};

/// Records of an EOBI channel; the first byte names the release.
pub(crate) fn run_eobi(bytes: &[u8]) {
    match bytes.split_first() {
        Some((byte, records)) if byte & 1 == 0 => {
            follow(records, &EOBI_6_0);
        }
        Some((_, records)) => {
            follow(records, &EOBI_14_1);
        }
        None => {}
    }
}

const EOBI_6_0: Protocol<EobiVenue> = eobi_of(
    || EobiVenue::new(Release::V6_0, MEDIUM),
    |packet| number_of(packet, Release::V6_0),
);

const EOBI_14_1: Protocol<EobiVenue> = eobi_of(
    || EobiVenue::new(Release::V14_1, MEDIUM),
    |packet| number_of(packet, Release::V14_1),
);

const fn eobi_of(
    venue: fn() -> EobiVenue,
    number: fn(&[u8]) -> Option<u64>,
) -> Protocol<EobiVenue> {
    Protocol {
        venue,
        number,
        is_saved_whole: false,
    }
}

fn number_of(packet: &[u8], release: Release) -> Option<u64> {
    let packet = eobi::Packet::parse(packet, release).ok()?;
    Some(packet.sequence().into())
}

#[cfg(test)]
mod tests {
    use tickdeck_book::Trust;

    use super::*;
    use crate::corpus;

    /// The seeds reach what is to be tested: books by order and by price that are good again after
    /// a loss, with orders in them, and nothing malformed.
    #[test]
    fn cme_seeds_heal() {
        for bytes in corpus::cme_records() {
            let channel = follow(&bytes, &CME);
            assert_eq!(channel.counters().malformed_records, 0);
            assert!(channel.counters().lost_messages > 0);
            let books = channel.books();
            assert_eq!(books.channel_trust(), Trust::Good);
            assert!(books.order_count() > 0 && !books.price_books().is_empty());
        }
    }

    /// The same for EOBI: every product is good again.
    #[test]
    fn eobi_seeds_heal() {
        for bytes in corpus::eobi_records() {
            let protocol = [&EOBI_6_0, &EOBI_14_1][usize::from(bytes[0] & 1)];
            let channel = follow(&bytes[1..], protocol);
            assert_eq!(channel.counters().malformed_records, 0);
            assert!(channel.counters().lost_messages > 0);
            assert_eq!(channel.books().channel_trust(), Trust::Good);
            assert!(channel.books().order_count() > 0);
        }
    }
}
