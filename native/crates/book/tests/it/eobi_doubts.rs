//! What makes EOBI books suspect: messages that say what cannot be, or that cannot be read.

use tickdeck_book::eobi::EobiConfig;
use tickdeck_book::{Cause, Fault};
use tickdeck_wire::eobi::{Content, Side as WireSide};

use crate::eobi_rules::{Given, SECURITY, execution, order};

/// Proves that an execution of no quantity, or of less, makes its book suspect, and that a full one
/// takes its order out all the same, at a price and without one.
#[test]
fn executions_of_nothing_are_doubted() {
    for (is_full, lots) in [(true, 0), (true, -1), (false, 0), (false, -1)] {
        for price in [Some(100), None] {
            let mut given = Given::new(EobiConfig::default());
            given.give(&Content::OrderAdd {
                security_id: SECURITY,
                order: order(WireSide::Buy, 1, price, 5),
            });
            let execution = execution(Some(1), price, lots);
            given.give(&match is_full {
                true => Content::FullOrderExecution(execution),
                false => Content::PartialOrderExecution(execution),
            });
            assert_eq!(given.cause(), Some(Cause::ZeroShares));
            let at_price = given.books.books().order_count();
            let (without, _) = given.books.market_orders(given.id());
            assert_eq!(at_price + without as usize, usize::from(!is_full));
            assert_eq!(given.books.books().counters().fault(Fault::ZeroShares), 1);
            given.books.check_invariants().expect("sound");
        }
    }
}
