//! What EOBI messages are counted beside the counters that all venues have.

use tickdeck_wire::eobi::ContentError;

/// Defines the counters and their order in a snapshot.
macro_rules! counters {
    ($($(#[$about:meta])* $name:ident,)*) => {
        /// What was counted since the books were made, restored snapshots included. Only grows.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct EobiCounters {
            $($(#[$about])* pub $name: u64,)*
        }

        impl EobiCounters {
            /// How many there are.
            pub(super) const WORDS: usize = [$(stringify!($name)),*].len();

            /// Every counter with its name, in snake_case.
            pub fn named(&self) -> [(&'static str, u64); Self::WORDS] {
                [$((stringify!($name), self.$name)),*]
            }

            pub(super) fn from_words(words: [u64; Self::WORDS]) -> Self {
                let [$($name),*] = words;
                Self { $($name),* }
            }
        }
    };
}

counters! {
    /// ExecutionSummary.
    execution_summaries,
    /// TradeReport.
    trade_reports,
    /// TESTradeReport.
    off_book_trades,
    /// TradeReversal.
    trade_reversals,
    /// CrossRequest and QuoteRequest.
    requests,
    /// Heartbeats that were given as messages.
    heartbeats,
    /// Changes of state of products and instruments.
    state_changes,
    /// AuctionBBO, AuctionClearingPrice, TopOfBook.
    touches,
    /// Instruments that were created during the day.
    instruments,
    /// OrderMassDelete.
    mass_deletes,
    /// Books emptied because an auction began.
    auction_clears,
    /// Orders of snapshots.
    snapshot_orders,
    /// Market orders that were added.
    market_orders,
    /// Orders that were sent again with the terms they had.
    sent_again,
    /// Executions and changes of a quantity, or at a price, that the order did not have.
    mismatches,
    /// Orders without a priority where priorities name them; left out.
    nameless,
    /// Messages that mean one of several orders with the same terms.
    ambiguous,
    /// Messages of the snapshot channel among the incremental ones.
    misplaced,
    /// Messages of a template that the release has not.
    unknown_templates,
    /// Messages of another length than their template's.
    wrong_lengths,
    /// Messages with a field that must have a value and has none.
    without_value,
}

impl EobiCounters {
    pub(super) fn unreadable(&mut self, error: &ContentError) {
        *match error {
            ContentError::UnknownTemplate { .. } => &mut self.unknown_templates,
            ContentError::WrongLength { .. } => &mut self.wrong_lengths,
            ContentError::NoValue { .. } => &mut self.without_value,
        } += 1;
    }
}
