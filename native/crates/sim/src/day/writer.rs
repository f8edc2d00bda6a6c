//! Encodes the day's messages and counts them.

use tickdeck_wire::itch50::{
    AddOrderFields, AddOrderMpidFields, ImbalanceFields, Mpid, OrderCancelFields,
    OrderDeleteFields, OrderExecutedFields, OrderExecutedWithPriceFields, OrderReplaceFields,
    ParticipantPositionFields, RegShoFields, Side, Stock, StockDirectoryFields, SystemEventFields,
    TradeFields, TradingActionFields,
};

use super::book::Books;
use super::report::{Counts, DayReport};
use crate::Random;

/// 09:30 in nanoseconds since midnight.
const OPEN_NS: u64 = 34_200_000_000_000;
/// First order reference.
pub(super) const FIRST_REFERENCE: u64 = 1_000;
/// Participants that every instrument lists.
const PARTICIPANTS: [Mpid; 3] = [Mpid(*b"NITE"), Mpid(*b"GSCO"), Mpid(*b"GSCO")];
/// The participant of attributed orders.
const ATTRIBUTION: Mpid = Mpid(*b"GSCO");

/// Writes messages into a sink.
pub(super) struct Writer<F> {
    sink: F,
    stocks: Vec<Stock>,
    timestamp_ns: u64,
    next_reference: u64,
    last_match: u64,
    counts: Counts,
}

/// The common prefix, filled in.
macro_rules! message {
    ($self:ident, $instrument:expr, $fields:ident { $($rest:tt)* }) => {
        $fields {
            stock_locate: locate($instrument),
            tracking_number: 0,
            timestamp_ns: $self.timestamp_ns,
            $($rest)*
        }
        .encode()
    };
}

impl<E, F: FnMut(&[u8]) -> Result<(), E>> Writer<F> {
    pub(super) fn new(instruments: u32, sink: F) -> Self {
        let stocks = (0..instruments).map(stock_name).collect();
        Self {
            sink,
            stocks,
            timestamp_ns: OPEN_NS,
            next_reference: FIRST_REFERENCE,
            last_match: 0,
            counts: Counts::new(instruments as usize),
        }
    }

    /// Messages written.
    pub(super) fn messages(&self) -> u64 {
        self.counts.messages()
    }

    /// The day's table.
    pub(super) fn into_report(self, books: &Books) -> DayReport {
        self.counts.into_report(books)
    }

    /// Moves the clock to the next message.
    pub(super) fn tick(&mut self, random: &mut Random) {
        self.timestamp_ns += 50 + random.below(4_000);
    }

    /// A new order reference: the next one with probability 0.6, else up to three further.
    pub(super) fn next_reference(&mut self, random: &mut Random) -> u64 {
        let reference = self.next_reference;
        let step = if random.chance(0.6) {
            1
        } else {
            1 + random.below(4)
        };
        self.next_reference += step;
        self.counts.note_reference(reference);
        reference
    }

    pub(super) fn system_event(&mut self, event_code: u8) -> Result<(), E> {
        let message = SystemEventFields {
            stock_locate: 0,
            tracking_number: 0,
            timestamp_ns: self.timestamp_ns,
            event_code,
        };
        self.put(None, &message.encode())
    }

    /// Directory, trading state, short sale restriction and participants of an instrument.
    pub(super) fn reference_data(
        &mut self,
        instrument: usize,
        random: &mut Random,
    ) -> Result<(), E> {
        let stock = self.stocks[instrument];
        self.tick(random);
        let directory = message!(
            self,
            instrument,
            StockDirectoryFields {
                stock,
                market_category: b'Q',
                financial_status: b'N',
                round_lot_size: 100,
                round_lots_only: b'N',
                issue_classification: b'C',
                issue_subtype: *b"Z ",
                authenticity: b'P',
                short_sale_threshold: b'N',
                ipo_flag: b'N',
                luld_tier: b'1',
                etp_flag: b'N',
                etp_leverage_factor: 0,
                inverse_indicator: b'N',
            }
        );
        self.put(Some(instrument), &directory)?;
        self.tick(random);
        let (trading_state, reserved, reason) = (b'T', b' ', *b"    ");
        let action = message!(
            self,
            instrument,
            TradingActionFields {
                stock,
                trading_state,
                reserved,
                reason
            }
        );
        self.put(Some(instrument), &action)?;
        self.tick(random);
        let reg_sho = message!(
            self,
            instrument,
            RegShoFields {
                stock,
                reg_sho_action: b'0'
            }
        );
        self.put(Some(instrument), &reg_sho)?;
        for mpid in PARTICIPANTS {
            self.tick(random);
            let (primary_market_maker, market_maker_mode, participant_state) = (b'Y', b'N', b'A');
            let position = message!(
                self,
                instrument,
                ParticipantPositionFields {
                    mpid,
                    stock,
                    primary_market_maker,
                    market_maker_mode,
                    participant_state
                }
            );
            self.put(Some(instrument), &position)?;
        }
        Ok(())
    }

    pub(super) fn add(
        &mut self,
        instrument: usize,
        order_reference: u64,
        side: Side,
        shares: u32,
        price: u32,
        attributed: bool,
    ) -> Result<(), E> {
        let stock = self.stocks[instrument];
        if attributed {
            let attribution = ATTRIBUTION;
            let add = message!(
                self,
                instrument,
                AddOrderMpidFields {
                    order_reference,
                    side,
                    shares,
                    stock,
                    price,
                    attribution
                }
            );
            self.put(Some(instrument), &add)
        } else {
            let add = message!(
                self,
                instrument,
                AddOrderFields {
                    order_reference,
                    side,
                    shares,
                    stock,
                    price
                }
            );
            self.put(Some(instrument), &add)
        }
    }

    pub(super) fn delete(&mut self, instrument: usize, order_reference: u64) -> Result<(), E> {
        let delete = message!(self, instrument, OrderDeleteFields { order_reference });
        self.put(Some(instrument), &delete)
    }

    pub(super) fn replace(
        &mut self,
        instrument: usize,
        original_order_reference: u64,
        new_order_reference: u64,
        shares: u32,
        price: u32,
    ) -> Result<(), E> {
        let replace = message!(
            self,
            instrument,
            OrderReplaceFields {
                original_order_reference,
                new_order_reference,
                shares,
                price
            }
        );
        self.put(Some(instrument), &replace)
    }

    /// `C` when a price is given, else `E`.
    pub(super) fn execute(
        &mut self,
        instrument: usize,
        order_reference: u64,
        executed_shares: u32,
        price: Option<u32>,
    ) -> Result<(), E> {
        let match_number = self.next_match();
        match price {
            None => {
                let executed = message!(
                    self,
                    instrument,
                    OrderExecutedFields {
                        order_reference,
                        executed_shares,
                        match_number
                    }
                );
                self.put(Some(instrument), &executed)
            }
            Some(execution_price) => {
                let printable = b'Y';
                let executed = message!(
                    self,
                    instrument,
                    OrderExecutedWithPriceFields {
                        order_reference,
                        executed_shares,
                        match_number,
                        printable,
                        execution_price
                    }
                );
                self.put(Some(instrument), &executed)
            }
        }
    }

    pub(super) fn cancel(
        &mut self,
        instrument: usize,
        order_reference: u64,
        cancelled_shares: u32,
    ) -> Result<(), E> {
        let cancel = message!(
            self,
            instrument,
            OrderCancelFields {
                order_reference,
                cancelled_shares
            }
        );
        self.put(Some(instrument), &cancel)
    }

    pub(super) fn trade(&mut self, instrument: usize, shares: u32, price: u32) -> Result<(), E> {
        let (stock, match_number) = (self.stocks[instrument], self.next_match());
        let trade = message!(
            self,
            instrument,
            TradeFields {
                order_reference: 0,
                side: Side::Buy,
                shares,
                stock,
                price,
                match_number
            }
        );
        self.put(Some(instrument), &trade)
    }

    pub(super) fn imbalance(&mut self, instrument: usize, price: u32) -> Result<(), E> {
        let imbalance = message!(
            self,
            instrument,
            ImbalanceFields {
                paired_shares: 1_000,
                imbalance_shares: 500,
                imbalance_direction: b'B',
                stock: self.stocks[instrument],
                far_price: price,
                near_price: price,
                current_reference_price: price,
                cross_type: b'C',
                price_variation_indicator: b' ',
            }
        );
        self.put(Some(instrument), &imbalance)
    }

    fn next_match(&mut self) -> u64 {
        self.last_match += 1;
        self.last_match
    }

    fn put(&mut self, instrument: Option<usize>, message: &[u8]) -> Result<(), E> {
        self.counts.note(instrument, message);
        (self.sink)(message)
    }
}

/// Locate codes are 1, 2, 3, …; a day has at most 65,535 instruments.
fn locate(instrument: usize) -> u16 {
    (instrument + 1) as u16
}

/// `S0000`, `S0001`, … padded with spaces.
fn stock_name(instrument: u32) -> Stock {
    let mut name = [b' '; 8];
    let digits = format!("S{instrument:04}");
    name[..digits.len()].copy_from_slice(digits.as_bytes());
    Stock(name)
}
