//! Which instruments a message touches: by price with RptSeq, by order without.

use std::slice::ChunksExact;

use super::layout::{SECURITY_BEFORE_RPT_SEQ, layout_of};
use super::{Group, GroupError, Message, fields};

/// ReferenceID of an order entry without a price entry.
const NO_REFERENCE: u8 = 255;

/// One entry that counts in an instrument's RptSeq.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Update {
    /// The instrument.
    pub security_id: i32,
    /// Its number among the instrument's updates, +1 each, whatever the template.
    pub rpt_seq: u32,
}

/// The entries of a message that have a RptSeq, in order.
#[derive(Clone, Debug)]
pub struct RptSeqs<'a> {
    entries: ChunksExact<'a, u8>,
    offset: usize,
}

/// The instruments whose orders a message changes, one for each order entry that names one.
#[derive(Clone, Debug)]
pub struct OrderSecurities<'a> {
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

    /// The instruments whose books by order this message changes.
    ///
    /// # Errors
    /// [`GroupError`] when the message is not what its template says, also when an order entry
    /// refers to a price entry that is not there.
    pub fn order_securities(&self) -> Result<OrderSecurities<'a>, GroupError> {
        let none = OrderSecurities {
            orders: [].chunks_exact(1),
            place: Place::Own(0),
        };
        let Some(layout) = layout_of(self.template_id) else {
            return Ok(none);
        };
        if let Some(offset) = layout.order_security {
            let orders = self.groups()?.first().entries();
            let place = Place::Own(offset);
            return Ok(OrderSecurities { orders, place });
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
        Ok(OrderSecurities { orders, place })
    }
}

impl Iterator for RptSeqs<'_> {
    type Item = Update;

    fn next(&mut self) -> Option<Update> {
        let entry = self.entries.next()?;
        Some(Update {
            security_id: fields::i32_at(entry, self.offset - SECURITY_BEFORE_RPT_SEQ),
            rpt_seq: fields::u32_at(entry, self.offset),
        })
    }
}

impl Iterator for OrderSecurities<'_> {
    type Item = i32;

    fn next(&mut self) -> Option<i32> {
        match &self.place {
            Place::Own(offset) => {
                let order = self.orders.next()?;
                Some(fields::i32_at(order, *offset))
            }
            Place::Referred {
                offset,
                prices,
                security_offset,
            } => {
                let mut references = self.orders.by_ref().map(|order| order[*offset]);
                let reference = references.find(|reference| *reference != NO_REFERENCE)?;
                let price = prices.get(usize::from(reference) - 1)?;
                Some(fields::i32_at(price, *security_offset))
            }
        }
    }
}
