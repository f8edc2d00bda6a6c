//! Where things stand in the messages, by template. Checked against the exchange's SBE schemas of
//! versions 6 and 9 in the tests.

/// Template ids.
pub mod template {
    /// Empties every book and statistic of the channel.
    pub const CHANNEL_RESET: u16 = 4;
    /// The channel lives.
    pub const HEARTBEAT: u16 = 12;
    /// Book by price, prices in 10⁻⁷.
    pub const BOOK: u16 = 32;
    /// Daily statistics.
    pub const DAILY_STATISTICS: u16 = 33;
    /// Limits and banding.
    pub const LIMITS: u16 = 34;
    /// Session statistics.
    pub const SESSION_STATISTICS: u16 = 35;
    /// Trade, up to version 6.
    pub const TRADE: u16 = 36;
    /// Traded volume.
    pub const VOLUME: u16 = 37;
    /// Snapshot by price, prices in 10⁻⁷.
    pub const SNAPSHOT: u16 = 38;
    /// Trade summary, prices in 10⁻⁷.
    pub const TRADE_SUMMARY: u16 = 42;
    /// Book by order only, prices in 10⁻⁷.
    pub const ORDER_BOOK: u16 = 43;
    /// Snapshot by order, prices in 10⁻⁷.
    pub const ORDER_SNAPSHOT: u16 = 44;
    /// Book by price and by order, prices in 10⁻⁹.
    pub const BOOK_9: u16 = 46;
    /// Book by order only, prices in 10⁻⁹.
    pub const ORDER_BOOK_9: u16 = 47;
    /// Trade summary, prices in 10⁻⁹.
    pub const TRADE_SUMMARY_9: u16 = 48;
    /// Daily statistics, prices in 10⁻⁹.
    pub const DAILY_STATISTICS_9: u16 = 49;
    /// Limits and banding, prices in 10⁻⁹.
    pub const LIMITS_9: u16 = 50;
    /// Session statistics, prices in 10⁻⁹.
    pub const SESSION_STATISTICS_9: u16 = 51;
    /// Snapshot by price, prices in 10⁻⁹.
    pub const SNAPSHOT_9: u16 = 52;
    /// Snapshot by order, prices in 10⁻⁹.
    pub const ORDER_SNAPSHOT_9: u16 = 53;
}

/// How a group begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dimension {
    /// `groupSize`: blockLength `u16`, count `u8`; 3 bytes.
    Short,
    /// `groupSize8Byte`: blockLength `u16`, 5 bytes nothing, count `u8`; 8 bytes.
    Aligned,
}

impl Dimension {
    /// Bytes in front of the first entry.
    pub const fn bytes(self) -> usize {
        match self {
            Self::Short => 3,
            Self::Aligned => 8,
        }
    }

    /// Where the count stands.
    pub(super) const fn count_offset(self) -> usize {
        self.bytes() - 1
    }
}

/// What is known of the messages of a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The template id.
    pub template_id: u16,
    /// Bytes of the root block that are read here; the wire may have more.
    pub root_len: usize,
    /// Its groups in order. A message of an older version may end before the last.
    pub groups: &'static [GroupLayout],
    /// Offset of RptSeq in an entry of the first group. SecurityID stands four bytes before it.
    pub rpt_seq: Option<usize>,
    /// Offset of SecurityID in an order entry of the first group.
    pub order_security: Option<usize>,
    /// Offset of ReferenceID, the number from 1 of the price entry that an order entry of the
    /// second group belongs to.
    pub order_reference: Option<usize>,
}

/// One group of a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupLayout {
    /// How it begins.
    pub dimension: Dimension,
    /// Bytes of an entry that are read here; the wire may have more.
    pub entry_len: usize,
}

/// Bytes between SecurityID and RptSeq of an entry.
pub const SECURITY_BEFORE_RPT_SEQ: usize = 4;

/// Every template that is read here, by id.
pub const LAYOUTS: &[Layout] = &[
    plain(template::CHANNEL_RESET, 9, &[short(2)]),
    plain(template::HEARTBEAT, 0, &[]),
    // Version 6 has no order entries in template 32, and no 43; later ones have.
    both(template::BOOK),
    counted(template::DAILY_STATISTICS, &[short(32)], 16),
    counted(template::LIMITS, &[short(32)], 28),
    counted(template::SESSION_STATISTICS, &[short(24)], 12),
    counted(template::TRADE, &[short(32)], 16),
    counted(template::VOLUME, &[short(16)], 8),
    plain(template::SNAPSHOT, 59, &[short(22)]),
    counted(template::TRADE_SUMMARY, &[short(32), aligned(16)], 16),
    ordered(template::ORDER_BOOK),
    plain(template::ORDER_SNAPSHOT, 28, &[short(29)]),
    both(template::BOOK_9),
    ordered(template::ORDER_BOOK_9),
    counted(template::TRADE_SUMMARY_9, &[short(32), aligned(16)], 16),
    counted(template::DAILY_STATISTICS_9, &[short(32)], 16),
    counted(template::LIMITS_9, &[short(32)], 28),
    counted(template::SESSION_STATISTICS_9, &[short(24)], 12),
    plain(template::SNAPSHOT_9, 59, &[short(22)]),
    plain(template::ORDER_SNAPSHOT_9, 28, &[short(29)]),
];

/// The layout of a template; `None` for one that is not read here.
pub fn layout_of(template_id: u16) -> Option<&'static Layout> {
    LAYOUTS
        .iter()
        .find(|layout| layout.template_id == template_id)
}

const fn short(entry_len: usize) -> GroupLayout {
    let dimension = Dimension::Short;
    GroupLayout {
        dimension,
        entry_len,
    }
}

const fn aligned(entry_len: usize) -> GroupLayout {
    let dimension = Dimension::Aligned;
    GroupLayout {
        dimension,
        entry_len,
    }
}

const fn plain(template_id: u16, root_len: usize, groups: &'static [GroupLayout]) -> Layout {
    Layout {
        template_id,
        root_len,
        groups,
        rpt_seq: None,
        order_security: None,
        order_reference: None,
    }
}

/// An incremental message whose entries have a RptSeq.
const fn counted(template_id: u16, groups: &'static [GroupLayout], rpt_seq: usize) -> Layout {
    Layout {
        rpt_seq: Some(rpt_seq),
        ..plain(template_id, 11, groups)
    }
}

/// Price entries with a RptSeq, and order entries that refer to them.
const fn both(template_id: u16) -> Layout {
    Layout {
        order_reference: Some(20),
        ..counted(template_id, const { &[short(32), aligned(24)] }, 16)
    }
}

/// Order entries on their own.
const fn ordered(template_id: u16) -> Layout {
    Layout {
        order_security: Some(28),
        ..plain(template_id, 11, const { &[short(40)] })
    }
}
