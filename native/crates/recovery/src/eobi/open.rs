//! A product's cycle of which packets are still to come.

use tickdeck_wire::eobi::{Content, Packet};

use super::Cycle;

/// Why a cycle is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spoiled {
    /// A packet of the snapshot channel is lost.
    Lost,
    /// Its numbers do not follow one another although no packet is lost: of two cycles.
    Mixed,
    /// Another product, or another cycle, began before it was complete.
    Unfinished,
    /// An instrument has more or fewer orders than it announced.
    OrdersMismatch,
    /// A message that a snapshot does not have there, or that cannot be read.
    Malformed,
    /// More bytes than allowed.
    Oversize,
}

/// A product's cycle from its summary on.
#[derive(Debug)]
pub(super) struct Open {
    cycle: Cycle,
    bytes: usize,
    /// Orders that the current instrument still lacks; `None` before the first.
    missing: Option<u16>,
}

impl Open {
    /// A cycle that begins with this packet, in front of it.
    pub(super) fn new(packet: &Packet<'_>, last_msg_seq_num_processed: u32) -> Self {
        let cycle = Cycle {
            market_segment_id: packet.market_segment_id(),
            last_msg_seq_num_processed,
            orders: 0,
            sent_ns: packet.transact_time_ns(),
            packets: Vec::new(),
            release: packet.release(),
        };
        Self {
            cycle,
            bytes: 0,
            missing: None,
        }
    }

    pub(super) fn market_segment_id(&self) -> i32 {
        self.cycle.market_segment_id
    }

    /// Takes the next packet; its first message is the product summary when `begins`.
    pub(super) fn take(
        &mut self,
        packet: &Packet<'_>,
        begins: bool,
        max_bytes: usize,
    ) -> Result<(), Spoiled> {
        for message in packet.messages().skip(usize::from(begins)) {
            match message.content(packet.release()) {
                Ok(content) => self.take_content(&content)?,
                // A template of a later release; what is not known cannot be missed.
                Err(_) if packet.release().layout(message.template_id()).is_none() => {}
                Err(_) => return Err(Spoiled::Malformed),
            }
        }
        self.bytes += packet.bytes().len();
        if self.bytes > max_bytes {
            return Err(Spoiled::Oversize);
        }
        self.cycle.packets.push(packet.bytes().to_vec());
        Ok(())
    }

    /// The cycle, after its last packet.
    pub(super) fn finish(self) -> Result<Cycle, Spoiled> {
        if self.missing.unwrap_or(0) > 0 {
            return Err(Spoiled::OrdersMismatch);
        }
        Ok(self.cycle)
    }

    fn take_content(&mut self, content: &Content<'_>) -> Result<(), Spoiled> {
        match content {
            Content::ProductSummary(_) => Err(Spoiled::Malformed),
            Content::InstrumentSummary(summary) => {
                if self.missing.replace(summary.orders).unwrap_or(0) > 0 {
                    return Err(Spoiled::OrdersMismatch);
                }
                self.cycle.orders += u64::from(summary.orders);
                Ok(())
            }
            Content::SnapshotOrder(_) => match &mut self.missing {
                None => Err(Spoiled::Malformed),
                Some(0) => Err(Spoiled::OrdersMismatch),
                Some(missing) => {
                    *missing -= 1;
                    Ok(())
                }
            },
            // In an auction the touch or the clearing price; after trading the top of book.
            _ => Ok(()),
        }
    }
}
