//! The messages of a snapshot channel: an instrument's book by price in one message (templates 38
//! and 52), by order in chunks (44 and 53).

use super::views::{Block, OrderSnapshotRoot, SnapshotRoot};
use super::{Group, GroupError, Message, template};

/// An instrument's book by price, whole.
#[derive(Clone, Copy, Debug)]
pub struct PriceSnapshot<'a> {
    /// Number of the last packet of the incremental feed that is in it.
    pub last_msg_seq_num_processed: u32,
    /// Instruments in one loop.
    pub total_reports: u32,
    /// The instrument.
    pub security_id: i32,
    /// RptSeq of the last update that is in it.
    pub rpt_seq: u32,
    /// The price levels, as they are on the wire.
    pub entries: Group<'a>,
}

/// A part of an instrument's book by order.
#[derive(Clone, Copy, Debug)]
pub struct OrderSnapshot<'a> {
    /// Number of the last packet of the incremental feed that is in it.
    pub last_msg_seq_num_processed: u32,
    /// Instruments in one loop.
    pub total_reports: u32,
    /// The instrument.
    pub security_id: i32,
    /// Into how many messages the instrument's orders were cut, at least 1.
    pub chunks: u32,
    /// Which one this is, from 1 to `chunks`.
    pub chunk: u32,
    /// The orders, as they are on the wire.
    pub entries: Group<'a>,
}

impl<'a> PriceSnapshot<'a> {
    /// Reads the message; `None` when it is of another template.
    ///
    /// # Errors
    /// [`GroupError`] when the message is not what its template says.
    pub fn read(message: &Message<'a>) -> Result<Option<Self>, GroupError> {
        if !matches!(
            message.template_id,
            template::SNAPSHOT | template::SNAPSHOT_9
        ) {
            return Ok(None);
        }
        let entries = message.groups()?.first();
        let root = SnapshotRoot::of(message.root);
        Ok(Some(Self {
            last_msg_seq_num_processed: root.last_msg_seq_num_processed(),
            total_reports: root.total_reports(),
            security_id: root.security_id(),
            rpt_seq: root.rpt_seq(),
            entries,
        }))
    }
}

impl<'a> OrderSnapshot<'a> {
    /// Reads the message; `None` when it is of another template.
    ///
    /// # Errors
    /// [`GroupError`] when the message is not what its template says, or its chunk number is not
    /// one of its chunks.
    pub fn read(message: &Message<'a>) -> Result<Option<Self>, GroupError> {
        if !matches!(
            message.template_id,
            template::ORDER_SNAPSHOT | template::ORDER_SNAPSHOT_9
        ) {
            return Ok(None);
        }
        let entries = message.groups()?.first();
        let root = OrderSnapshotRoot::of(message.root);
        let (chunks, chunk) = (root.chunks(), root.chunk());
        if !(1..=chunks).contains(&chunk) {
            return Err(GroupError::Contradiction {
                template_id: message.template_id,
                problem: "CurrentChunk is not between 1 and NoChunks",
            });
        }
        Ok(Some(Self {
            last_msg_seq_num_processed: root.last_msg_seq_num_processed(),
            total_reports: root.total_reports(),
            security_id: root.security_id(),
            chunks,
            chunk,
            entries,
        }))
    }
}
