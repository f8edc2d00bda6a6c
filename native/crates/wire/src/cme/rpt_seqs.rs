//! Which entries of a message touch which instrument: by price with RptSeq, by order without.

use std::slice::ChunksExact;

use super::layout::{SECURITY_BEFORE_RPT_SEQ, layout_of};
use super::{Group, GroupError, Message, fields};

/// ReferenceID of an order entry without a price entry.
const NO_REFERENCE: u8 = 255;

/// One entry that counts in an instrument's RptSeq.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Update<'a> {
    /// The instrument.
    pub security_id: i32,
    /// Its number among the instrument's updates, +1 each, whatever the template.
    pub rpt_seq: u32,
    /// The whole entry, of which the template says the rest.
    pub entry: &'a [u8],
}

/// One entry that changes an order of an instrument.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OrderUpdate<'a> {
    /// The instrument.
    pub security_id: i32,
    /// The whole entry.
    pub entry: &'a [u8],
    /// The price entry of the same message that it belongs to (templates 32 and 46).
    pub price_entry: Option<&'a [u8]>,
}

/// The entries of a message that have a RptSeq, in order.
#[derive(Clone, Debug)]
pub struct RptSeqs<'a> {
    entries: ChunksExact<'a, u8>,
    offset: usize,
}

/// The entries of a message that change orders, in order. One that refers to no price entry, and
/// so to no instrument, is passed over.
#[derive(Clone, Debug)]
pub struct OrderUpdates<'a> {
    orders: ChunksExact<'a, u8>,
    place: Place<'a>,
}

/// Where an order entry names its instrument.
#[derive(Clone, Debug)]
enum Place<'a> {
    /// In itself, at this offset.
    Own(usize),
    /// In the price entry whose number from 1 stands at `offset`.
    Referred {
        offset: usize,
        prices: Group<'a>,
        security_offset: usize,
    },
}

impl<'a> Message<'a> {
    /// The entries that count in an instrument's RptSeq. None for a template without.
    ///
    /// # Errors
    /// [`GroupError`] when the message is not what its template says; a template that is not read
    /// here is no error, it has no RptSeq.
    pub fn rpt_seqs(&self) -> Result<RptSeqs<'a>, GroupError> {
        let Some(offset) = layout_of(self.template_id).and_then(|layout| layout.rpt_seq) else {
            let entries = [].chunks_exact(1);
            return Ok(RptSeqs { entries, offset: 0 });
        };
        let entries = self.groups()?.first().entries();
        Ok(RptSeqs { entries, offset })
    }

    /// The entries that change books by order. None for a template without.
    ///
    /// # Errors
    /// [`GroupError`] when the message is not what its template says, also when an order entry
    /// refers to a price entry that is not there.
    pub fn order_updates(&self) -> Result<OrderUpdates<'a>, GroupError> {
        let none = OrderUpdates {
            orders: [].chunks_exact(1),
            place: Place::Own(0),
        };
        let Some(layout) = layout_of(self.template_id) else {
            return Ok(none);
        };
        if let Some(offset) = layout.order_security {
            let orders = self.groups()?.first().entries();
            let place = Place::Own(offset);
            return Ok(OrderUpdates { orders, place });
        }
        let (Some(offset), Some(rpt_seq)) = (layout.order_reference, layout.rpt_seq) else {
            return Ok(none);
        };
        let groups = self.groups()?;
        let (prices, orders) = (groups.first(), groups.second().entries());
        let is_there = |order: &[u8]| {
            let reference = order[offset];
            reference == NO_REFERENCE || (1..=prices.len()).contains(&usize::from(reference))
        };
        if !orders.clone().all(is_there) {
            return Err(GroupError::Contradiction {
                template_id: self.template_id,
                problem: "an order entry refers to a price entry that is not there",
            });
        }
        let place = Place::Referred {
            offset,
            prices,
            security_offset: rpt_seq - SECURITY_BEFORE_RPT_SEQ,
        };
        Ok(OrderUpdates { orders, place })
    }
}

impl<'a> Iterator for RptSeqs<'a> {
    type Item = Update<'a>;

    fn next(&mut self) -> Option<Update<'a>> {
        let entry = self.entries.next()?;
        Some(Update {
            security_id: fields::i32_at(entry, self.offset - SECURITY_BEFORE_RPT_SEQ),
            rpt_seq: fields::u32_at(entry, self.offset),
            entry,
        })
    }
}

impl<'a> Iterator for OrderUpdates<'a> {
    type Item = OrderUpdate<'a>;

    fn next(&mut self) -> Option<OrderUpdate<'a>> {
        match &self.place {
            Place::Own(offset) => {
                let entry = self.orders.next()?;
                Some(OrderUpdate {
                    security_id: fields::i32_at(entry, *offset),
                    entry,
                    price_entry: None,
                })
            }
            Place::Referred {
                offset,
                prices,
                security_offset,
            } => {
                let refers = |order: &&[u8]| order[*offset] != NO_REFERENCE;
                let entry = self.orders.find(refers)?;
                let price = prices.get(usize::from(entry[*offset]) - 1)?;
                Some(OrderUpdate {
                    security_id: fields::i32_at(price, *security_offset),
                    entry,
                    price_entry: Some(price),
                })
            }
        }
    }
}
