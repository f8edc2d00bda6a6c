//! Inputs to begin with, made by our own encoders in the shapes of real traffic: the same message
//! mixes, lengths and group counts; no recorded byte.

mod books;
mod cme;
mod eobi;
mod itch;
mod tcp;
mod venues;

pub(crate) use books::{eobi_books, itch_blocks, itch_operations, records, snapshots};
pub(crate) use cme::cme_packets;
pub(crate) use eobi::eobi_packets;
pub(crate) use itch::{binary_files, itch_messages, mold_packets};
pub(crate) use tcp::{glimpse_ends, payloads, replay_streams, soup_streams};
pub(crate) use venues::{cme_records, eobi_records};

#[cfg(test)]
mod tests {
    use tickdeck_book::{Itch, snapshot};
    use tickdeck_wire::eobi::{self, Release};
    use tickdeck_wire::{cme, itch50, moldudp64};

    use super::*;
    use crate::targets::book_itch::SMALL;
    use crate::targets::snapshot::{RANKED, WIDE};

    /// Seeds are what they claim to be: otherwise every run would start in the first error branch.
    #[test]
    fn seeds_are_whole() {
        assert!(
            itch_messages()
                .iter()
                .all(|bytes| itch50::parse(bytes).is_ok())
        );
        let types = itch_messages()
            .iter()
            .map(|bytes| bytes[0])
            .collect::<Vec<_>>();
        assert!(itch50::LENGTHS.iter().all(|(kind, _)| types.contains(kind)));
        let is_mold = |bytes: &Vec<u8>| {
            moldudp64::Packet::parse(bytes).is_ok() || moldudp64::Request::parse(bytes).is_ok()
        };
        assert!(mold_packets().iter().all(is_mold));
        let is_eobi = |bytes: &Vec<u8>| {
            let of = |release| eobi::Packet::parse(bytes, release).is_ok();
            Release::ALL.into_iter().any(of) || bytes.starts_with(&eobi::TECHNICAL_HEARTBEAT)
        };
        assert!(eobi_packets().iter().all(is_eobi));
        for bytes in cme_packets() {
            let packet = cme::Packet::parse(&bytes).expect("a packet");
            assert!(packet.messages().all(|message| message.groups().is_ok()));
        }
    }

    /// The seeds of snapshots have orders in them once their digest is made, the hostile one too.
    #[test]
    fn snapshot_seeds_are_restored() {
        let (configs, orders) = ([SMALL, WIDE, WIDE, RANKED], [12, 12, 3, 0]);
        for ((mut bytes, config), least) in snapshots().into_iter().zip(configs).zip(orders) {
            snapshot::seal(&mut bytes);
            let restored = snapshot::decode(&bytes, Itch::new(config)).expect("a snapshot");
            assert!(restored.channel.books().order_count() >= least);
        }
    }

    /// The middle of the generated day has every kind of change in it.
    #[test]
    fn the_day_changes_its_books() {
        let kinds: Vec<u8> = itch::day(500, 1).iter().map(|message| message[0]).collect();
        assert!(b"ADEXU".iter().all(|kind| kinds[200..].contains(kind)));
    }
}
