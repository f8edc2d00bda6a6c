//! The venues of the book worker, which are private there: their sources are compiled here again.

#[allow(dead_code, reason = "the worker uses more of them than the targets do")]
#[path = "../../../worker/src/book/venue"]
mod sources {
    pub(super) mod cme;
}

use tickdeck_wire::cme;

use super::book_itch::SMALL;
use super::channel::{Protocol, follow};
use sources::cme::CmeVenue;

/// Records of a CME channel.
pub(crate) fn run_cme(bytes: &[u8]) {
    follow(bytes, &CME);
}

const CME: Protocol<CmeVenue> = Protocol {
    venue: || CmeVenue::new(SMALL),
    number: |packet| Some(cme::Packet::parse(packet).ok()?.sequence().into()),
    is_saved_whole: false,
};

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
}
