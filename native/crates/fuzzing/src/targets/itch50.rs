//! One ITCH message: refused for the right reason, or all of its fields give its bytes again.

use tickdeck_wire::itch50::{self, ItchError, Message, length_of};

pub(crate) fn run(bytes: &[u8]) {
    match itch50::parse(bytes) {
        Ok(message) => check(bytes, message),
        Err(error) => {
            assert_eq!(Some(error), reason(bytes));
            assert!(!error.to_string().is_empty() && !error.reason().is_empty());
        }
    }
}

fn check(bytes: &[u8], message: Message<'_>) {
    assert_eq!(reason(bytes), None);
    assert_eq!(message.bytes(), bytes);
    assert_eq!(message.kind(), bytes[0]);
    let number = |range: std::ops::Range<usize>| {
        let add = |sum: u64, byte: &u8| sum * 256 + u64::from(*byte);
        bytes[range].iter().fold(0, add)
    };
    assert_eq!(u64::from(message.stock_locate()), number(1..3));
    assert_eq!(message.timestamp_ns(), number(5..11));
    assert_eq!(encode(&message), bytes);
    assert!(format!("{message:?}").contains("tracking_number"));
}

/// Why the bytes are no message, by the tables alone.
fn reason(bytes: &[u8]) -> Option<ItchError> {
    let Some(&kind) = bytes.first() else {
        return Some(ItchError::Empty);
    };
    let Some(expected) = length_of(kind) else {
        return Some(ItchError::UnknownType(kind));
    };
    let actual = bytes.len();
    if actual != expected {
        return Some(ItchError::WrongLength {
            kind,
            expected,
            actual,
        });
    }
    let side = b"AFP".contains(&kind).then(|| bytes[19])?;
    (!b"BS".contains(&side)).then_some(ItchError::BadSide { kind, side })
}

/// The message built again from its fields.
fn encode(message: &Message<'_>) -> Vec<u8> {
    macro_rules! encode {
        ($($kind:ident)*) => {
            match message {
                $(Message::$kind(view) => view.fields().encode().to_vec(),)*
            }
        };
    }
    encode!(
        SystemEvent StockDirectory TradingAction RegSho ParticipantPosition MwcbLevels MwcbStatus
        IpoQuoting LuldCollar OperationalHalt AddOrder AddOrderMpid OrderExecuted
        OrderExecutedWithPrice OrderCancel OrderDelete OrderReplace Trade CrossTrade BrokenTrade
        Imbalance RetailInterest DirectListing
    )
}
