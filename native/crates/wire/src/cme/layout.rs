//! Where things stand in the messages, by template.
//!
//! [`v6`] and [`v9`] are generated from the exchange's SBE schemas of these versions. Version 9
//! only appends to version 6 (a test holds it), so messages are read by version 9, and by version 6
//! where it has a template that version 9 dropped: [`LAYOUTS`]. A field is a constant of one of the
//! types of [`super::types`] at its offset in its block.

pub mod v6;
pub mod v6_definitions;
pub mod v9;
pub mod v9_definitions;
pub mod v9_nine;
pub mod v9_nine_definitions;

pub use super::types::*;

/// Template ids.
pub mod template {
    /// Empties every book and statistic of the channel.
    pub const CHANNEL_RESET: u16 = 4;
    /// The channel lives.
    pub const HEARTBEAT: u16 = 12;
    /// A session of a replay begins.
    pub const LOGIN: u16 = 15;
    /// A session of a replay ends.
    pub const LOGOUT: u16 = 16;
    /// Definition of a future.
    pub const FUTURE: u16 = 27;
    /// Definition of a spread.
    pub const SPREAD: u16 = 29;
    /// Trading status of an instrument or of a group of them.
    pub const SECURITY_STATUS: u16 = 30;
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
    /// Request for a quote.
    pub const QUOTE_REQUEST: u16 = 39;
    /// Definition of an option.
    pub const OPTION: u16 = 41;
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
    /// Definition of a future, prices in 10⁻⁹.
    pub const FUTURE_9: u16 = 54;
    /// Definition of an option, prices in 10⁻⁹.
    pub const OPTION_9: u16 = 55;
    /// Definition of a spread, prices in 10⁻⁹.
    pub const SPREAD_9: u16 = 56;
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

/// What a schema says of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    /// The exchange's name of it, without its template.
    pub name: &'static str,
    /// templateId.
    pub template_id: u16,
    /// blockLength of the root block.
    pub root_len: usize,
    /// Its groups, in order.
    pub groups: &'static [Group],
}

/// What a schema says of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group {
    /// The exchange's name of it.
    pub name: &'static str,
    /// How it begins.
    pub dimension: Dimension,
    /// blockLength of an entry.
    pub entry_len: usize,
    /// Version of the schema that brought it; messages of older ones end before it.
    pub since: u16,
}

/// How the messages of a template are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The template id.
    pub template_id: u16,
    /// The exchange's name of it.
    pub name: &'static str,
    /// Bytes of the root block that are read here; the wire may have more.
    pub root_len: usize,
    /// Its groups in order. A message of an older version may end before the last.
    pub groups: &'static [Group],
    /// Offset of RptSeq in an entry of the first group. SecurityID stands four bytes before it.
    pub rpt_seq: Option<usize>,
    /// Offset of SecurityID in an order entry of the first group.
    pub order_security: Option<usize>,
    /// Offset of ReferenceID, the number from 1 of the price entry that an order entry of the
    /// second group belongs to.
    pub order_reference: Option<usize>,
}

/// Bytes between SecurityID and RptSeq of an entry.
pub const SECURITY_BEFORE_RPT_SEQ: usize = 4;

/// Groups that a message has at most.
pub const MAX_GROUPS: usize = 6;

/// Every template that is known, by id.
pub const LAYOUTS: [Layout; v9::MESSAGES.len() + 1] = {
    let dropped = v6::md_incremental_refresh_trade36::LAYOUT;
    let mut layouts = [Layout::of(&dropped); v9::MESSAGES.len() + 1];
    let (mut from, mut to) = (0, 0);
    while from < v9::MESSAGES.len() {
        let message = &v9::MESSAGES[from];
        to += (from == to && message.template_id > dropped.template_id) as usize;
        layouts[to] = Layout::of(message);
        (from, to) = (from + 1, to + 1);
    }
    layouts
};

/// Templates are below this number.
const END: usize = LAYOUTS[LAYOUTS.len() - 1].template_id as usize + 1;

/// For each template its row of [`LAYOUTS`].
static ROWS: [Option<Layout>; END] = {
    let mut rows = [None; END];
    let mut row = 0;
    while row < LAYOUTS.len() {
        rows[LAYOUTS[row].template_id as usize] = Some(LAYOUTS[row]);
        row += 1;
    }
    rows
};

/// The layout of a template; `None` for one that is not known.
pub fn layout_of(template_id: u16) -> Option<&'static Layout> {
    ROWS.get(usize::from(template_id))?.as_ref()
}

/// Power of ten of the prices of a template.
pub const fn price_exponent(template_id: u16) -> i8 {
    if template_id >= template::BOOK_9 {
        -9
    } else {
        -7
    }
}

impl Layout {
    const fn of(message: &Message) -> Self {
        let (rpt_seq, order_security, order_reference) = numbers(message.template_id);
        Self {
            template_id: message.template_id,
            name: message.name,
            root_len: message.root_len,
            groups: message.groups,
            rpt_seq,
            order_security,
            order_reference,
        }
    }
}

/// Offsets of RptSeq, of an order's SecurityID and of its ReferenceID.
#[rustfmt::skip]
const fn numbers(template_id: u16) -> (Option<usize>, Option<usize>, Option<usize>) {
    use {v9::*, v9_nine::*};
    macro_rules! rpt_seq {
        ($message:ident) => {{
            use $message::no_md_entries::{RPT_SEQ, SECURITY_ID};
            assert!(SECURITY_ID.0 + SECURITY_BEFORE_RPT_SEQ == RPT_SEQ.0);
            Some(RPT_SEQ.0)
        }};
    }
    match template_id {
        template::BOOK => {
            let reference = md_incremental_refresh_book32::no_order_id_entries::REFERENCE_ID.0;
            (rpt_seq!(md_incremental_refresh_book32), None, Some(reference))
        }
        template::BOOK_9 => {
            let reference = md_incremental_refresh_book46::no_order_id_entries::REFERENCE_ID.0;
            (rpt_seq!(md_incremental_refresh_book46), None, Some(reference))
        }
        template::ORDER_BOOK => {
            let security = md_incremental_refresh_order_book43::no_md_entries::SECURITY_ID.0;
            (None, Some(security), None)
        }
        template::ORDER_BOOK_9 => {
            let security = md_incremental_refresh_order_book47::no_md_entries::SECURITY_ID.0;
            (None, Some(security), None)
        }
        33 => (rpt_seq!(md_incremental_refresh_daily_statistics33), None, None),
        34 => (rpt_seq!(md_incremental_refresh_limits_banding34), None, None),
        35 => (rpt_seq!(md_incremental_refresh_session_statistics35), None, None),
        36 => {
            use v6::md_incremental_refresh_trade36;
            (rpt_seq!(md_incremental_refresh_trade36), None, None)
        }
        37 => (rpt_seq!(md_incremental_refresh_volume37), None, None),
        42 => (rpt_seq!(md_incremental_refresh_trade_summary42), None, None),
        48 => (rpt_seq!(md_incremental_refresh_trade_summary48), None, None),
        49 => (rpt_seq!(md_incremental_refresh_daily_statistics49), None, None),
        50 => (rpt_seq!(md_incremental_refresh_limits_banding50), None, None),
        51 => (rpt_seq!(md_incremental_refresh_session_statistics51), None, None),
        _ => (None, None, None),
    }
}
