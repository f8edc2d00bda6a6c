//! Layouts of MDP 3.0, version 9. Written by `native/layouts/cme.py`: do not
//! edit.
//!
//! Schema `Cme.Futures.Mdp3.Sbe.v1.9.xml` of 20180308.
//! A field is named as the exchange names it and stands at its offset in its block.
#![allow(missing_docs, reason = "the exchange has the fields' meanings")]

use super::*;
use super::{v9_definitions, v9_nine, v9_nine_definitions};

/// Every message, by template.
pub const MESSAGES: [Message; 29] = [
    channel_reset4::LAYOUT,
    admin_heartbeat12::LAYOUT,
    admin_login15::LAYOUT,
    admin_logout16::LAYOUT,
    v9_definitions::md_instrument_definition_future27::LAYOUT,
    v9_definitions::md_instrument_definition_spread29::LAYOUT,
    security_status30::LAYOUT,
    md_incremental_refresh_book32::LAYOUT,
    md_incremental_refresh_daily_statistics33::LAYOUT,
    md_incremental_refresh_limits_banding34::LAYOUT,
    md_incremental_refresh_session_statistics35::LAYOUT,
    md_incremental_refresh_volume37::LAYOUT,
    snapshot_full_refresh38::LAYOUT,
    quote_request39::LAYOUT,
    v9_definitions::md_instrument_definition_option41::LAYOUT,
    md_incremental_refresh_trade_summary42::LAYOUT,
    md_incremental_refresh_order_book43::LAYOUT,
    snapshot_full_refresh_order_book44::LAYOUT,
    v9_nine::md_incremental_refresh_book46::LAYOUT,
    v9_nine::md_incremental_refresh_order_book47::LAYOUT,
    v9_nine::md_incremental_refresh_trade_summary48::LAYOUT,
    v9_nine::md_incremental_refresh_daily_statistics49::LAYOUT,
    v9_nine::md_incremental_refresh_limits_banding50::LAYOUT,
    v9_nine::md_incremental_refresh_session_statistics51::LAYOUT,
    v9_nine::snapshot_full_refresh52::LAYOUT,
    v9_nine::snapshot_full_refresh_order_book53::LAYOUT,
    v9_nine_definitions::md_instrument_definition_future54::LAYOUT,
    v9_nine_definitions::md_instrument_definition_option55::LAYOUT,
    v9_nine_definitions::md_instrument_definition_spread56::LAYOUT,
];

pub mod channel_reset4 {
    use super::*;

    pub const ID: u16 = 4;
    pub const LAYOUT: Message = Message {
        name: "ChannelReset",
        template_id: ID,
        root_len: 9,
        groups: &[no_md_entries::GROUP],
    };
    pub const TRANSACT_TIME: U64 = U64(0);
    pub const MATCH_EVENT_INDICATOR: U8 = U8(8);

    pub mod no_md_entries {
        use super::*;

        pub const GROUP: Group = Group {
            name: "NoMDEntries",
            dimension: Dimension::Short,
            entry_len: 2,
            since: 0,
        };
        pub const MD_UPDATE_ACTION: i8 = 0;
        pub const MD_ENTRY_TYPE: u8 = b'J';
        pub const APPL_ID: I16 = I16(0);
    }
}

pub mod admin_heartbeat12 {
    use super::*;

    pub const ID: u16 = 12;
    pub const LAYOUT: Message = Message {
        name: "AdminHeartbeat",
        template_id: ID,
        root_len: 0,
        groups: &[],
    };
}

pub mod admin_login15 {
    use super::*;

    pub const ID: u16 = 15;
    pub const LAYOUT: Message = Message {
        name: "AdminLogin",
        template_id: ID,
        root_len: 1,
        groups: &[],
    };
    pub const HEART_BT_INT: I8 = I8(0);
}

pub mod admin_logout16 {
    use super::*;

    pub const ID: u16 = 16;
    pub const LAYOUT: Message = Message {
        name: "AdminLogout",
        template_id: ID,
        root_len: 180,
        groups: &[],
    };
    pub const TEXT: Text<180> = Text(0);
}

pub mod security_status30 {
    use super::*;

    pub const ID: u16 = 30;
    pub const LAYOUT: Message = Message {
        name: "SecurityStatus",
        template_id: ID,
        root_len: 30,
        groups: &[],
    };
    pub const TRANSACT_TIME: U64 = U64(0);
    pub const SECURITY_GROUP: Text<6> = Text(8);
    pub const ASSET: Text<6> = Text(14);
    pub const SECURITY_ID: OptI32 = OptI32(20);
    pub const TRADE_DATE: OptU16 = OptU16(24);
    pub const MATCH_EVENT_INDICATOR: U8 = U8(26);
    pub const SECURITY_TRADING_STATUS: OptU8 = OptU8(27);
    pub const HALT_REASON: U8 = U8(28);
    pub const SECURITY_TRADING_EVENT: U8 = U8(29);
}

pub mod md_incremental_refresh_book32 {
    use super::*;

    pub const ID: u16 = 32;
    pub const LAYOUT: Message = Message {
        name: "MDIncrementalRefreshBook",
        template_id: ID,
        root_len: 11,
        groups: &[no_md_entries::GROUP, no_order_id_entries::GROUP],
    };
    pub const TRANSACT_TIME: U64 = U64(0);
    pub const MATCH_EVENT_INDICATOR: U8 = U8(8);

    pub mod no_md_entries {
        use super::*;

        pub const GROUP: Group = Group {
            name: "NoMDEntries",
            dimension: Dimension::Short,
            entry_len: 32,
            since: 0,
        };
        pub const MD_ENTRY_PX: OptDecimal<-7> = OptDecimal(0);
        pub const MD_ENTRY_SIZE: OptI32 = OptI32(8);
        pub const SECURITY_ID: I32 = I32(12);
        pub const RPT_SEQ: U32 = U32(16);
        pub const NUMBER_OF_ORDERS: OptI32 = OptI32(20);
        pub const MD_PRICE_LEVEL: U8 = U8(24);
        pub const MD_UPDATE_ACTION: U8 = U8(25);
        pub const MD_ENTRY_TYPE: U8 = U8(26);
    }

    pub mod no_order_id_entries {
        use super::*;

        pub const GROUP: Group = Group {
            name: "NoOrderIDEntries",
            dimension: Dimension::Aligned,
            entry_len: 24,
            since: 7,
        };
        pub const ORDER_ID: U64 = U64(0);
        pub const MD_ORDER_PRIORITY: OptU64 = OptU64(8);
        pub const MD_DISPLAY_QTY: OptI32 = OptI32(16);
        pub const REFERENCE_ID: OptU8 = OptU8(20);
        pub const ORDER_UPDATE_ACTION: U8 = U8(21);
    }
}

pub mod md_incremental_refresh_daily_statistics33 {
    use super::*;

    pub const ID: u16 = 33;
    pub const LAYOUT: Message = Message {
        name: "MDIncrementalRefreshDailyStatistics",
        template_id: ID,
        root_len: 11,
        groups: &[no_md_entries::GROUP],
    };
    pub const TRANSACT_TIME: U64 = U64(0);
    pub const MATCH_EVENT_INDICATOR: U8 = U8(8);

    pub mod no_md_entries {
        use super::*;

        pub const GROUP: Group = Group {
            name: "NoMDEntries",
            dimension: Dimension::Short,
            entry_len: 32,
            since: 0,
        };
        pub const MD_ENTRY_PX: OptDecimal<-7> = OptDecimal(0);
        pub const MD_ENTRY_SIZE: OptI32 = OptI32(8);
        pub const SECURITY_ID: I32 = I32(12);
        pub const RPT_SEQ: U32 = U32(16);
        pub const TRADING_REFERENCE_DATE: OptU16 = OptU16(20);
        pub const SETTL_PRICE_TYPE: U8 = U8(22);
        pub const MD_UPDATE_ACTION: U8 = U8(23);
        pub const MD_ENTRY_TYPE: U8 = U8(24);
    }
}

pub mod md_incremental_refresh_limits_banding34 {
    use super::*;

    pub const ID: u16 = 34;
    pub const LAYOUT: Message = Message {
        name: "MDIncrementalRefreshLimitsBanding",
        template_id: ID,
        root_len: 11,
        groups: &[no_md_entries::GROUP],
    };
    pub const TRANSACT_TIME: U64 = U64(0);
    pub const MATCH_EVENT_INDICATOR: U8 = U8(8);

    pub mod no_md_entries {
        use super::*;

        pub const GROUP: Group = Group {
            name: "NoMDEntries",
            dimension: Dimension::Short,
            entry_len: 32,
            since: 0,
        };
        pub const HIGH_LIMIT_PRICE: OptDecimal<-7> = OptDecimal(0);
        pub const LOW_LIMIT_PRICE: OptDecimal<-7> = OptDecimal(8);
        pub const MAX_PRICE_VARIATION: OptDecimal<-7> = OptDecimal(16);
        pub const SECURITY_ID: I32 = I32(24);
        pub const RPT_SEQ: U32 = U32(28);
        pub const MD_UPDATE_ACTION: i8 = 0;
        pub const MD_ENTRY_TYPE: u8 = b'g';
    }
}

pub mod md_incremental_refresh_session_statistics35 {
    use super::*;

    pub const ID: u16 = 35;
    pub const LAYOUT: Message = Message {
        name: "MDIncrementalRefreshSessionStatistics",
        template_id: ID,
        root_len: 11,
        groups: &[no_md_entries::GROUP],
    };
    pub const TRANSACT_TIME: U64 = U64(0);
    pub const MATCH_EVENT_INDICATOR: U8 = U8(8);

    pub mod no_md_entries {
        use super::*;

        pub const GROUP: Group = Group {
            name: "NoMDEntries",
            dimension: Dimension::Short,
            entry_len: 24,
            since: 0,
        };
        pub const MD_ENTRY_PX: Decimal<-7> = Decimal(0);
        pub const SECURITY_ID: I32 = I32(8);
        pub const RPT_SEQ: U32 = U32(12);
        pub const OPEN_CLOSE_SETTL_FLAG: OptU8 = OptU8(16);
        pub const MD_UPDATE_ACTION: U8 = U8(17);
        pub const MD_ENTRY_TYPE: U8 = U8(18);
        /// Since version 8.
        pub const MD_ENTRY_SIZE: OptI32 = OptI32(19);
    }
}

pub mod md_incremental_refresh_volume37 {
    use super::*;

    pub const ID: u16 = 37;
    pub const LAYOUT: Message = Message {
        name: "MDIncrementalRefreshVolume",
        template_id: ID,
        root_len: 11,
        groups: &[no_md_entries::GROUP],
    };
    pub const TRANSACT_TIME: U64 = U64(0);
    pub const MATCH_EVENT_INDICATOR: U8 = U8(8);

    pub mod no_md_entries {
        use super::*;

        pub const GROUP: Group = Group {
            name: "NoMDEntries",
            dimension: Dimension::Short,
            entry_len: 16,
            since: 0,
        };
        pub const MD_ENTRY_SIZE: I32 = I32(0);
        pub const SECURITY_ID: I32 = I32(4);
        pub const RPT_SEQ: U32 = U32(8);
        pub const MD_UPDATE_ACTION: U8 = U8(12);
        pub const MD_ENTRY_TYPE: u8 = b'e';
    }
}

pub mod snapshot_full_refresh38 {
    use super::*;

    pub const ID: u16 = 38;
    pub const LAYOUT: Message = Message {
        name: "SnapshotFullRefresh",
        template_id: ID,
        root_len: 59,
        groups: &[no_md_entries::GROUP],
    };
    pub const LAST_MSG_SEQ_NUM_PROCESSED: U32 = U32(0);
    pub const TOT_NUM_REPORTS: U32 = U32(4);
    pub const SECURITY_ID: I32 = I32(8);
    pub const RPT_SEQ: U32 = U32(12);
    pub const TRANSACT_TIME: U64 = U64(16);
    pub const LAST_UPDATE_TIME: U64 = U64(24);
    pub const TRADE_DATE: OptU16 = OptU16(32);
    pub const MD_SECURITY_TRADING_STATUS: OptU8 = OptU8(34);
    pub const HIGH_LIMIT_PRICE: OptDecimal<-7> = OptDecimal(35);
    pub const LOW_LIMIT_PRICE: OptDecimal<-7> = OptDecimal(43);
    pub const MAX_PRICE_VARIATION: OptDecimal<-7> = OptDecimal(51);

    pub mod no_md_entries {
        use super::*;

        pub const GROUP: Group = Group {
            name: "NoMDEntries",
            dimension: Dimension::Short,
            entry_len: 22,
            since: 0,
        };
        pub const MD_ENTRY_PX: OptDecimal<-7> = OptDecimal(0);
        pub const MD_ENTRY_SIZE: OptI32 = OptI32(8);
        pub const NUMBER_OF_ORDERS: OptI32 = OptI32(12);
        pub const MD_PRICE_LEVEL: OptI8 = OptI8(16);
        pub const TRADING_REFERENCE_DATE: OptU16 = OptU16(17);
        pub const OPEN_CLOSE_SETTL_FLAG: OptU8 = OptU8(19);
        pub const SETTL_PRICE_TYPE: U8 = U8(20);
        pub const MD_ENTRY_TYPE: U8 = U8(21);
    }
}

pub mod quote_request39 {
    use super::*;

    pub const ID: u16 = 39;
    pub const LAYOUT: Message = Message {
        name: "QuoteRequest",
        template_id: ID,
        root_len: 35,
        groups: &[no_related_sym::GROUP],
    };
    pub const TRANSACT_TIME: U64 = U64(0);
    pub const QUOTE_REQ_ID: Text<23> = Text(8);
    pub const MATCH_EVENT_INDICATOR: U8 = U8(31);

    pub mod no_related_sym {
        use super::*;

        pub const GROUP: Group = Group {
            name: "NoRelatedSym",
            dimension: Dimension::Short,
            entry_len: 32,
            since: 0,
        };
        pub const SYMBOL: Text<20> = Text(0);
        pub const SECURITY_ID: I32 = I32(20);
        pub const ORDER_QTY: OptI32 = OptI32(24);
        pub const QUOTE_TYPE: I8 = I8(28);
        pub const SIDE: OptI8 = OptI8(29);
    }
}

pub mod md_incremental_refresh_trade_summary42 {
    use super::*;

    pub const ID: u16 = 42;
    pub const LAYOUT: Message = Message {
        name: "MDIncrementalRefreshTradeSummary",
        template_id: ID,
        root_len: 11,
        groups: &[no_md_entries::GROUP, no_order_id_entries::GROUP],
    };
    pub const TRANSACT_TIME: U64 = U64(0);
    pub const MATCH_EVENT_INDICATOR: U8 = U8(8);

    pub mod no_md_entries {
        use super::*;

        pub const GROUP: Group = Group {
            name: "NoMDEntries",
            dimension: Dimension::Short,
            entry_len: 32,
            since: 0,
        };
        pub const MD_ENTRY_PX: Decimal<-7> = Decimal(0);
        pub const MD_ENTRY_SIZE: I32 = I32(8);
        pub const SECURITY_ID: I32 = I32(12);
        pub const RPT_SEQ: U32 = U32(16);
        pub const NUMBER_OF_ORDERS: OptI32 = OptI32(20);
        pub const AGGRESSOR_SIDE: OptU8 = OptU8(24);
        pub const MD_UPDATE_ACTION: U8 = U8(25);
        pub const MD_ENTRY_TYPE: u8 = b'2';
        /// Since version 7.
        pub const MD_TRADE_ENTRY_ID: OptU32 = OptU32(26);
    }

    pub mod no_order_id_entries {
        use super::*;

        pub const GROUP: Group = Group {
            name: "NoOrderIDEntries",
            dimension: Dimension::Aligned,
            entry_len: 16,
            since: 0,
        };
        pub const ORDER_ID: U64 = U64(0);
        pub const LAST_QTY: I32 = I32(8);
    }
}

pub mod md_incremental_refresh_order_book43 {
    use super::*;

    pub const ID: u16 = 43;
    pub const LAYOUT: Message = Message {
        name: "MDIncrementalRefreshOrderBook",
        template_id: ID,
        root_len: 11,
        groups: &[no_md_entries::GROUP],
    };
    pub const TRANSACT_TIME: U64 = U64(0);
    pub const MATCH_EVENT_INDICATOR: U8 = U8(8);

    pub mod no_md_entries {
        use super::*;

        pub const GROUP: Group = Group {
            name: "NoMDEntries",
            dimension: Dimension::Short,
            entry_len: 40,
            since: 0,
        };
        pub const ORDER_ID: OptU64 = OptU64(0);
        pub const MD_ORDER_PRIORITY: OptU64 = OptU64(8);
        pub const MD_ENTRY_PX: OptDecimal<-7> = OptDecimal(16);
        pub const MD_DISPLAY_QTY: OptI32 = OptI32(24);
        pub const SECURITY_ID: I32 = I32(28);
        pub const MD_UPDATE_ACTION: U8 = U8(32);
        pub const MD_ENTRY_TYPE: U8 = U8(33);
    }
}

pub mod snapshot_full_refresh_order_book44 {
    use super::*;

    pub const ID: u16 = 44;
    pub const LAYOUT: Message = Message {
        name: "SnapshotFullRefreshOrderBook",
        template_id: ID,
        root_len: 28,
        groups: &[no_md_entries::GROUP],
    };
    pub const LAST_MSG_SEQ_NUM_PROCESSED: U32 = U32(0);
    pub const TOT_NUM_REPORTS: U32 = U32(4);
    pub const SECURITY_ID: I32 = I32(8);
    pub const NO_CHUNKS: U32 = U32(12);
    pub const CURRENT_CHUNK: U32 = U32(16);
    pub const TRANSACT_TIME: U64 = U64(20);

    pub mod no_md_entries {
        use super::*;

        pub const GROUP: Group = Group {
            name: "NoMDEntries",
            dimension: Dimension::Short,
            entry_len: 29,
            since: 0,
        };
        pub const ORDER_ID: U64 = U64(0);
        pub const MD_ORDER_PRIORITY: OptU64 = OptU64(8);
        pub const MD_ENTRY_PX: Decimal<-7> = Decimal(16);
        pub const MD_DISPLAY_QTY: I32 = I32(24);
        pub const MD_ENTRY_TYPE: U8 = U8(28);
    }
}
