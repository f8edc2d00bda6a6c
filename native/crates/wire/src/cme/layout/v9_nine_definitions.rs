//! Layouts of MDP 3.0, version 9. Written by `native/layouts/cme.py`: do not
//! edit.
//!
//! Schema `Cme.Futures.Mdp3.Sbe.v1.9.xml` of 20180308.
//! A field is named as the exchange names it and stands at its offset in its block.
#![allow(missing_docs, reason = "the exchange has the fields' meanings")]

use super::*;

pub mod md_instrument_definition_future54 {
    use super::*;

    pub const ID: u16 = 54;
    pub const LAYOUT: Message = Message {
        name: "MDInstrumentDefinitionFuture",
        template_id: ID,
        root_len: 216,
        groups: &[
            no_events::GROUP,
            no_md_feed_types::GROUP,
            no_inst_attrib::GROUP,
            no_lot_type_rules::GROUP,
        ],
    };
    pub const MATCH_EVENT_INDICATOR: U8 = U8(0);
    pub const TOT_NUM_REPORTS: OptU32 = OptU32(1);
    pub const SECURITY_UPDATE_ACTION: U8 = U8(5);
    pub const LAST_UPDATE_TIME: U64 = U64(6);
    pub const MD_SECURITY_TRADING_STATUS: OptU8 = OptU8(14);
    pub const APPL_ID: I16 = I16(15);
    pub const MARKET_SEGMENT_ID: U8 = U8(17);
    pub const UNDERLYING_PRODUCT: U8 = U8(18);
    pub const SECURITY_EXCHANGE: Text<4> = Text(19);
    pub const SECURITY_GROUP: Text<6> = Text(23);
    pub const ASSET: Text<6> = Text(29);
    pub const SYMBOL: Text<20> = Text(35);
    pub const SECURITY_ID: I32 = I32(55);
    pub const SECURITY_ID_SOURCE: u8 = b'8';
    pub const SECURITY_TYPE: Text<6> = Text(59);
    pub const CFI_CODE: Text<6> = Text(65);
    pub const MATURITY_MONTH_YEAR: Maturity = Maturity(71);
    pub const CURRENCY: Text<3> = Text(76);
    pub const SETTL_CURRENCY: Text<3> = Text(79);
    pub const MATCH_ALGORITHM: U8 = U8(82);
    pub const MIN_TRADE_VOL: U32 = U32(83);
    pub const MAX_TRADE_VOL: U32 = U32(87);
    pub const MIN_PRICE_INCREMENT: Decimal<-9> = Decimal(91);
    pub const DISPLAY_FACTOR: Decimal<-9> = Decimal(99);
    pub const MAIN_FRACTION: OptU8 = OptU8(107);
    pub const SUB_FRACTION: OptU8 = OptU8(108);
    pub const PRICE_DISPLAY_FORMAT: OptU8 = OptU8(109);
    pub const UNIT_OF_MEASURE: Text<30> = Text(110);
    pub const UNIT_OF_MEASURE_QTY: OptDecimal<-9> = OptDecimal(140);
    pub const TRADING_REFERENCE_PRICE: OptDecimal<-9> = OptDecimal(148);
    pub const SETTL_PRICE_TYPE: U8 = U8(156);
    pub const OPEN_INTEREST_QTY: OptI32 = OptI32(157);
    pub const CLEARED_VOLUME: OptI32 = OptI32(161);
    pub const HIGH_LIMIT_PRICE: OptDecimal<-9> = OptDecimal(165);
    pub const LOW_LIMIT_PRICE: OptDecimal<-9> = OptDecimal(173);
    pub const MAX_PRICE_VARIATION: OptDecimal<-9> = OptDecimal(181);
    pub const DECAY_QUANTITY: OptI32 = OptI32(189);
    pub const DECAY_START_DATE: OptU16 = OptU16(193);
    pub const ORIGINAL_CONTRACT_SIZE: OptI32 = OptI32(195);
    pub const CONTRACT_MULTIPLIER: OptI32 = OptI32(199);
    pub const CONTRACT_MULTIPLIER_UNIT: OptI8 = OptI8(203);
    pub const FLOW_SCHEDULE_TYPE: OptI8 = OptI8(204);
    pub const MIN_PRICE_INCREMENT_AMOUNT: OptDecimal<-9> = OptDecimal(205);
    pub const USER_DEFINED_INSTRUMENT: Text<1> = Text(213);
    pub const TRADING_REFERENCE_DATE: OptU16 = OptU16(214);

    pub mod no_events {
        use super::*;

        pub const GROUP: Group = Group {
            name: "NoEvents",
            dimension: Dimension::Short,
            entry_len: 9,
            since: 0,
        };
        pub const EVENT_TYPE: U8 = U8(0);
        pub const EVENT_TIME: U64 = U64(1);
    }

    pub mod no_md_feed_types {
        use super::*;

        pub const GROUP: Group = Group {
            name: "NoMDFeedTypes",
            dimension: Dimension::Short,
            entry_len: 4,
            since: 0,
        };
        pub const MD_FEED_TYPE: Text<3> = Text(0);
        pub const MARKET_DEPTH: I8 = I8(3);
    }

    pub mod no_inst_attrib {
        use super::*;

        pub const GROUP: Group = Group {
            name: "NoInstAttrib",
            dimension: Dimension::Short,
            entry_len: 4,
            since: 0,
        };
        pub const INST_ATTRIB_TYPE: i8 = 24;
        pub const INST_ATTRIB_VALUE: U32 = U32(0);
    }

    pub mod no_lot_type_rules {
        use super::*;

        pub const GROUP: Group = Group {
            name: "NoLotTypeRules",
            dimension: Dimension::Short,
            entry_len: 5,
            since: 0,
        };
        pub const LOT_TYPE: I8 = I8(0);
        pub const MIN_LOT_SIZE: OptDecimal32<-4> = OptDecimal32(1);
    }
}

pub mod md_instrument_definition_option55 {
    use super::*;

    pub const ID: u16 = 55;
    pub const LAYOUT: Message = Message {
        name: "MDInstrumentDefinitionOption",
        template_id: ID,
        root_len: 213,
        groups: &[
            no_events::GROUP,
            no_md_feed_types::GROUP,
            no_inst_attrib::GROUP,
            no_lot_type_rules::GROUP,
            no_underlyings::GROUP,
            no_related_instruments::GROUP,
        ],
    };
    pub const MATCH_EVENT_INDICATOR: U8 = U8(0);
    pub const TOT_NUM_REPORTS: OptU32 = OptU32(1);
    pub const SECURITY_UPDATE_ACTION: U8 = U8(5);
    pub const LAST_UPDATE_TIME: U64 = U64(6);
    pub const MD_SECURITY_TRADING_STATUS: OptU8 = OptU8(14);
    pub const APPL_ID: I16 = I16(15);
    pub const MARKET_SEGMENT_ID: U8 = U8(17);
    pub const UNDERLYING_PRODUCT: U8 = U8(18);
    pub const SECURITY_EXCHANGE: Text<4> = Text(19);
    pub const SECURITY_GROUP: Text<6> = Text(23);
    pub const ASSET: Text<6> = Text(29);
    pub const SYMBOL: Text<20> = Text(35);
    pub const SECURITY_ID: I32 = I32(55);
    pub const SECURITY_ID_SOURCE: u8 = b'8';
    pub const SECURITY_TYPE: Text<6> = Text(59);
    pub const CFI_CODE: Text<6> = Text(65);
    pub const PUT_OR_CALL: U8 = U8(71);
    pub const MATURITY_MONTH_YEAR: Maturity = Maturity(72);
    pub const CURRENCY: Text<3> = Text(77);
    pub const STRIKE_PRICE: OptDecimal<-9> = OptDecimal(80);
    pub const STRIKE_CURRENCY: Text<3> = Text(88);
    pub const SETTL_CURRENCY: Text<3> = Text(91);
    pub const MIN_CAB_PRICE: OptDecimal<-9> = OptDecimal(94);
    pub const MATCH_ALGORITHM: U8 = U8(102);
    pub const MIN_TRADE_VOL: U32 = U32(103);
    pub const MAX_TRADE_VOL: U32 = U32(107);
    pub const MIN_PRICE_INCREMENT: OptDecimal<-9> = OptDecimal(111);
    pub const MIN_PRICE_INCREMENT_AMOUNT: OptDecimal<-9> = OptDecimal(119);
    pub const DISPLAY_FACTOR: Decimal<-9> = Decimal(127);
    pub const TICK_RULE: OptI8 = OptI8(135);
    pub const MAIN_FRACTION: OptU8 = OptU8(136);
    pub const SUB_FRACTION: OptU8 = OptU8(137);
    pub const PRICE_DISPLAY_FORMAT: OptU8 = OptU8(138);
    pub const UNIT_OF_MEASURE: Text<30> = Text(139);
    pub const UNIT_OF_MEASURE_QTY: OptDecimal<-9> = OptDecimal(169);
    pub const TRADING_REFERENCE_PRICE: OptDecimal<-9> = OptDecimal(177);
    pub const SETTL_PRICE_TYPE: U8 = U8(185);
    pub const CLEARED_VOLUME: OptI32 = OptI32(186);
    pub const OPEN_INTEREST_QTY: OptI32 = OptI32(190);
    pub const LOW_LIMIT_PRICE: OptDecimal<-9> = OptDecimal(194);
    pub const HIGH_LIMIT_PRICE: OptDecimal<-9> = OptDecimal(202);
    pub const USER_DEFINED_INSTRUMENT: Text<1> = Text(210);
    pub const TRADING_REFERENCE_DATE: OptU16 = OptU16(211);

    pub mod no_events {
        use super::*;

        pub const GROUP: Group = Group {
            name: "NoEvents",
            dimension: Dimension::Short,
            entry_len: 9,
            since: 0,
        };
        pub const EVENT_TYPE: U8 = U8(0);
        pub const EVENT_TIME: U64 = U64(1);
    }

    pub mod no_md_feed_types {
        use super::*;

        pub const GROUP: Group = Group {
            name: "NoMDFeedTypes",
            dimension: Dimension::Short,
            entry_len: 4,
            since: 0,
        };
        pub const MD_FEED_TYPE: Text<3> = Text(0);
        pub const MARKET_DEPTH: I8 = I8(3);
    }

    pub mod no_inst_attrib {
        use super::*;

        pub const GROUP: Group = Group {
            name: "NoInstAttrib",
            dimension: Dimension::Short,
            entry_len: 4,
            since: 0,
        };
        pub const INST_ATTRIB_TYPE: i8 = 24;
        pub const INST_ATTRIB_VALUE: U32 = U32(0);
    }

    pub mod no_lot_type_rules {
        use super::*;

        pub const GROUP: Group = Group {
            name: "NoLotTypeRules",
            dimension: Dimension::Short,
            entry_len: 5,
            since: 0,
        };
        pub const LOT_TYPE: I8 = I8(0);
        pub const MIN_LOT_SIZE: OptDecimal32<-4> = OptDecimal32(1);
    }

    pub mod no_underlyings {
        use super::*;

        pub const GROUP: Group = Group {
            name: "NoUnderlyings",
            dimension: Dimension::Short,
            entry_len: 24,
            since: 0,
        };
        pub const UNDERLYING_SECURITY_ID: I32 = I32(0);
        pub const UNDERLYING_SECURITY_ID_SOURCE: u8 = b'8';
        pub const UNDERLYING_SYMBOL: Text<20> = Text(4);
    }

    pub mod no_related_instruments {
        use super::*;

        pub const GROUP: Group = Group {
            name: "NoRelatedInstruments",
            dimension: Dimension::Short,
            entry_len: 24,
            since: 0,
        };
        pub const RELATED_SECURITY_ID: I32 = I32(0);
        pub const RELATED_SECURITY_ID_SOURCE: u8 = b'8';
        pub const RELATED_SYMBOL: Text<20> = Text(4);
    }
}

pub mod md_instrument_definition_spread56 {
    use super::*;

    pub const ID: u16 = 56;
    pub const LAYOUT: Message = Message {
        name: "MDInstrumentDefinitionSpread",
        template_id: ID,
        root_len: 195,
        groups: &[
            no_events::GROUP,
            no_md_feed_types::GROUP,
            no_inst_attrib::GROUP,
            no_lot_type_rules::GROUP,
            no_legs::GROUP,
        ],
    };
    pub const MATCH_EVENT_INDICATOR: U8 = U8(0);
    pub const TOT_NUM_REPORTS: OptU32 = OptU32(1);
    pub const SECURITY_UPDATE_ACTION: U8 = U8(5);
    pub const LAST_UPDATE_TIME: U64 = U64(6);
    pub const MD_SECURITY_TRADING_STATUS: OptU8 = OptU8(14);
    pub const APPL_ID: I16 = I16(15);
    pub const MARKET_SEGMENT_ID: U8 = U8(17);
    pub const UNDERLYING_PRODUCT: OptU8 = OptU8(18);
    pub const SECURITY_EXCHANGE: Text<4> = Text(19);
    pub const SECURITY_GROUP: Text<6> = Text(23);
    pub const ASSET: Text<6> = Text(29);
    pub const SYMBOL: Text<20> = Text(35);
    pub const SECURITY_ID: I32 = I32(55);
    pub const SECURITY_ID_SOURCE: u8 = b'8';
    pub const SECURITY_TYPE: Text<6> = Text(59);
    pub const CFI_CODE: Text<6> = Text(65);
    pub const MATURITY_MONTH_YEAR: Maturity = Maturity(71);
    pub const CURRENCY: Text<3> = Text(76);
    pub const SECURITY_SUB_TYPE: Text<5> = Text(79);
    pub const USER_DEFINED_INSTRUMENT: Text<1> = Text(84);
    pub const MATCH_ALGORITHM: U8 = U8(85);
    pub const MIN_TRADE_VOL: U32 = U32(86);
    pub const MAX_TRADE_VOL: U32 = U32(90);
    pub const MIN_PRICE_INCREMENT: OptDecimal<-9> = OptDecimal(94);
    pub const DISPLAY_FACTOR: Decimal<-9> = Decimal(102);
    pub const PRICE_DISPLAY_FORMAT: OptU8 = OptU8(110);
    pub const PRICE_RATIO: OptDecimal<-9> = OptDecimal(111);
    pub const TICK_RULE: OptI8 = OptI8(119);
    pub const UNIT_OF_MEASURE: Text<30> = Text(120);
    pub const TRADING_REFERENCE_PRICE: OptDecimal<-9> = OptDecimal(150);
    pub const SETTL_PRICE_TYPE: U8 = U8(158);
    pub const OPEN_INTEREST_QTY: OptI32 = OptI32(159);
    pub const CLEARED_VOLUME: OptI32 = OptI32(163);
    pub const HIGH_LIMIT_PRICE: OptDecimal<-9> = OptDecimal(167);
    pub const LOW_LIMIT_PRICE: OptDecimal<-9> = OptDecimal(175);
    pub const MAX_PRICE_VARIATION: OptDecimal<-9> = OptDecimal(183);
    pub const MAIN_FRACTION: OptU8 = OptU8(191);
    pub const SUB_FRACTION: OptU8 = OptU8(192);
    pub const TRADING_REFERENCE_DATE: OptU16 = OptU16(193);

    pub mod no_events {
        use super::*;

        pub const GROUP: Group = Group {
            name: "NoEvents",
            dimension: Dimension::Short,
            entry_len: 9,
            since: 0,
        };
        pub const EVENT_TYPE: U8 = U8(0);
        pub const EVENT_TIME: U64 = U64(1);
    }

    pub mod no_md_feed_types {
        use super::*;

        pub const GROUP: Group = Group {
            name: "NoMDFeedTypes",
            dimension: Dimension::Short,
            entry_len: 4,
            since: 0,
        };
        pub const MD_FEED_TYPE: Text<3> = Text(0);
        pub const MARKET_DEPTH: I8 = I8(3);
    }

    pub mod no_inst_attrib {
        use super::*;

        pub const GROUP: Group = Group {
            name: "NoInstAttrib",
            dimension: Dimension::Short,
            entry_len: 4,
            since: 0,
        };
        pub const INST_ATTRIB_TYPE: i8 = 24;
        pub const INST_ATTRIB_VALUE: U32 = U32(0);
    }

    pub mod no_lot_type_rules {
        use super::*;

        pub const GROUP: Group = Group {
            name: "NoLotTypeRules",
            dimension: Dimension::Short,
            entry_len: 5,
            since: 0,
        };
        pub const LOT_TYPE: I8 = I8(0);
        pub const MIN_LOT_SIZE: OptDecimal32<-4> = OptDecimal32(1);
    }

    pub mod no_legs {
        use super::*;

        pub const GROUP: Group = Group {
            name: "NoLegs",
            dimension: Dimension::Short,
            entry_len: 18,
            since: 0,
        };
        pub const LEG_SECURITY_ID: I32 = I32(0);
        pub const LEG_SECURITY_ID_SOURCE: u8 = b'8';
        pub const LEG_SIDE: U8 = U8(4);
        pub const LEG_RATIO_QTY: I8 = I8(5);
        pub const LEG_PRICE: OptDecimal<-9> = OptDecimal(6);
        pub const LEG_OPTION_DELTA: OptDecimal32<-4> = OptDecimal32(14);
    }
}
