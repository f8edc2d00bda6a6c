//! Layouts of MDP 3.0, version 9. Written by `native/layouts/cme.py`: do not
//! edit.
//!
//! Schema `Cme.Futures.Mdp3.Sbe.v1.9.xml` of 20180308.
//! A field is named as the exchange names it and stands at its offset in its block.
#![allow(missing_docs, reason = "the exchange has the fields' meanings")]

use super::*;

pub mod md_incremental_refresh_book46 {
    use super::*;

    pub const ID: u16 = 46;
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
        pub const MD_ENTRY_PX: OptDecimal<-9> = OptDecimal(0);
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
            since: 0,
        };
        pub const ORDER_ID: U64 = U64(0);
        pub const MD_ORDER_PRIORITY: OptU64 = OptU64(8);
        pub const MD_DISPLAY_QTY: OptI32 = OptI32(16);
        pub const REFERENCE_ID: OptU8 = OptU8(20);
        pub const ORDER_UPDATE_ACTION: U8 = U8(21);
    }
}

pub mod md_incremental_refresh_order_book47 {
    use super::*;

    pub const ID: u16 = 47;
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
        pub const MD_ENTRY_PX: OptDecimal<-9> = OptDecimal(16);
        pub const MD_DISPLAY_QTY: OptI32 = OptI32(24);
        pub const SECURITY_ID: I32 = I32(28);
        pub const MD_UPDATE_ACTION: U8 = U8(32);
        pub const MD_ENTRY_TYPE: U8 = U8(33);
    }
}

pub mod md_incremental_refresh_trade_summary48 {
    use super::*;

    pub const ID: u16 = 48;
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
        pub const MD_ENTRY_PX: Decimal<-9> = Decimal(0);
        pub const MD_ENTRY_SIZE: I32 = I32(8);
        pub const SECURITY_ID: I32 = I32(12);
        pub const RPT_SEQ: U32 = U32(16);
        pub const NUMBER_OF_ORDERS: I32 = I32(20);
        pub const AGGRESSOR_SIDE: OptU8 = OptU8(24);
        pub const MD_UPDATE_ACTION: U8 = U8(25);
        pub const MD_ENTRY_TYPE: u8 = b'2';
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

pub mod md_incremental_refresh_daily_statistics49 {
    use super::*;

    pub const ID: u16 = 49;
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
        pub const MD_ENTRY_PX: OptDecimal<-9> = OptDecimal(0);
        pub const MD_ENTRY_SIZE: OptI32 = OptI32(8);
        pub const SECURITY_ID: I32 = I32(12);
        pub const RPT_SEQ: U32 = U32(16);
        pub const TRADING_REFERENCE_DATE: OptU16 = OptU16(20);
        pub const SETTL_PRICE_TYPE: U8 = U8(22);
        pub const MD_UPDATE_ACTION: U8 = U8(23);
        pub const MD_ENTRY_TYPE: U8 = U8(24);
    }
}

pub mod md_incremental_refresh_limits_banding50 {
    use super::*;

    pub const ID: u16 = 50;
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
        pub const HIGH_LIMIT_PRICE: OptDecimal<-9> = OptDecimal(0);
        pub const LOW_LIMIT_PRICE: OptDecimal<-9> = OptDecimal(8);
        pub const MAX_PRICE_VARIATION: OptDecimal<-9> = OptDecimal(16);
        pub const SECURITY_ID: I32 = I32(24);
        pub const RPT_SEQ: U32 = U32(28);
        pub const MD_UPDATE_ACTION: i8 = 0;
        pub const MD_ENTRY_TYPE: u8 = b'g';
    }
}

pub mod md_incremental_refresh_session_statistics51 {
    use super::*;

    pub const ID: u16 = 51;
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
        pub const MD_ENTRY_PX: Decimal<-9> = Decimal(0);
        pub const SECURITY_ID: I32 = I32(8);
        pub const RPT_SEQ: U32 = U32(12);
        pub const OPEN_CLOSE_SETTL_FLAG: OptU8 = OptU8(16);
        pub const MD_UPDATE_ACTION: U8 = U8(17);
        pub const MD_ENTRY_TYPE: U8 = U8(18);
        pub const MD_ENTRY_SIZE: OptI32 = OptI32(19);
    }
}

pub mod snapshot_full_refresh52 {
    use super::*;

    pub const ID: u16 = 52;
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
    pub const HIGH_LIMIT_PRICE: OptDecimal<-9> = OptDecimal(35);
    pub const LOW_LIMIT_PRICE: OptDecimal<-9> = OptDecimal(43);
    pub const MAX_PRICE_VARIATION: OptDecimal<-9> = OptDecimal(51);

    pub mod no_md_entries {
        use super::*;

        pub const GROUP: Group = Group {
            name: "NoMDEntries",
            dimension: Dimension::Short,
            entry_len: 22,
            since: 0,
        };
        pub const MD_ENTRY_PX: OptDecimal<-9> = OptDecimal(0);
        pub const MD_ENTRY_SIZE: OptI32 = OptI32(8);
        pub const NUMBER_OF_ORDERS: OptI32 = OptI32(12);
        pub const MD_PRICE_LEVEL: OptI8 = OptI8(16);
        pub const TRADING_REFERENCE_DATE: OptU16 = OptU16(17);
        pub const OPEN_CLOSE_SETTL_FLAG: OptU8 = OptU8(19);
        pub const SETTL_PRICE_TYPE: U8 = U8(20);
        pub const MD_ENTRY_TYPE: U8 = U8(21);
    }
}

pub mod snapshot_full_refresh_order_book53 {
    use super::*;

    pub const ID: u16 = 53;
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
        pub const MD_ENTRY_PX: Decimal<-9> = Decimal(16);
        pub const MD_DISPLAY_QTY: I32 = I32(24);
        pub const MD_ENTRY_TYPE: U8 = U8(28);
    }
}
