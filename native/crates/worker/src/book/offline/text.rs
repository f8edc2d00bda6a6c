//! Books and places as lines of text.

use std::io::{self, Write};

use super::walk::Place;
use crate::book::report::{BookSummary, Depth};

/// A book in one line.
pub(super) fn line(book: &BookSummary) -> String {
    let touch = |best: Option<_>| {
        best.map_or_else(
            || "-".to_owned(),
            |(price, quantity)| format!("{price} x {quantity}"),
        )
    };
    format!(
        "{} {} orders, {}/{} levels, bid {}, ask {}, {}{}",
        book.symbol,
        book.orders,
        book.bid_levels,
        book.ask_levels,
        touch(book.best_bid),
        touch(book.best_ask),
        book.trust,
        book.hashes
            .as_ref()
            .map_or_else(String::new, |hashes| format!(
                ", queue_sha256 {}",
                hashes.queue_sha256
            )),
    )
}

/// The levels of a book, the best ask above the best bid.
pub(super) fn depth(out: &mut impl Write, depth: &Depth, indent: &str) -> io::Result<()> {
    let asks = depth.asks.iter().rev().map(|level| ("ask", level));
    let bids = depth.bids.iter().map(|level| ("bid", level));
    for (side, level) in asks.chain(bids) {
        let (price, quantity, orders) = (level.price, level.quantity, level.orders);
        writeln!(
            out,
            "{indent}{side} {price:>12} x {quantity:<10} {orders} orders"
        )?;
    }
    Ok(())
}

/// Where in the stream.
pub(super) fn place(place: &Place) -> String {
    let mut text = format!("message {}", place.message);
    if let Some(sequence) = place.sequence {
        text += &format!(", sequence {sequence}");
    }
    if let Some(record) = place.record {
        text += &format!(", record {record}");
    }
    if let Some(day_time_ns) = place.day_time_ns {
        text += &format!(", {}", day_time(day_time_ns));
    }
    text
}

/// Nanoseconds since midnight as a time of day.
pub(super) fn day_time(ns: u64) -> String {
    let (seconds, fraction) = (ns / 1_000_000_000, ns % 1_000_000_000);
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    format!("{hours:02}:{minutes:02}:{:02}.{fraction:09}", seconds % 60)
}
