//! What a replayer knows as bytes, little-endian, for a reader's snapshot.
//!
//! u32 last packet, u32 whole from, u8 flags (1 whole, 2 restarted), u64 began; u32 books by price,
//! each i32 instrument, u8 suspect, u32 since, u32 RptSeq, u32 touched, u32 includes; u32 books by
//! order, each i32 instrument, u8 suspect, u32 since, u32 includes; the packets kept for suspect
//! books, see [`Queue::save`]. Without them a reader would refuse the cycle that its receiver, who
//! still has them, puts into the stream.

use super::super::instruments::{Instruments, Orders, Prices};
use super::super::queue::Queue;
use super::super::{Book, Trust};
use super::{Replayer, ReplayerConfig};

const WHOLE: u8 = 1;
const RESTARTED: u8 = 2;

impl Replayer {
    /// Appends what is known; not the counters.
    pub fn save(&self, out: &mut Vec<u8>) {
        put(out, self.last);
        put(out, self.whole_from);
        let flag = |set, flag| if set { flag } else { 0 };
        out.push(flag(self.is_whole, WHOLE) | flag(self.is_restarted, RESTARTED));
        out.extend_from_slice(&self.began_ns.to_le_bytes());
        let (prices, orders) = self.instruments.all();
        // Both are limited by the configuration to far less than 2^32.
        put(out, prices.len() as u32);
        for (security_id, book) in prices {
            out.extend_from_slice(&security_id.to_le_bytes());
            put_trust(out, book.trust);
            put(out, book.rpt_seq);
            put(out, book.touched);
            put(out, book.includes);
        }
        put(out, orders.len() as u32);
        for (security_id, book) in orders {
            out.extend_from_slice(&security_id.to_le_bytes());
            put_trust(out, book.trust);
            put(out, book.includes);
        }
        self.queue.save(out);
    }

    /// A replayer that knows what was written, read from the front of the bytes, which then begin
    /// behind it.
    ///
    /// # Errors
    /// What is wrong with the bytes.
    pub fn restore(config: ReplayerConfig, saved: &mut &[u8]) -> Result<Self, &'static str> {
        let mut replayer = Self::new(config);
        replayer.last = u32::from_le_bytes(taken(saved)?);
        replayer.whole_from = u32::from_le_bytes(taken(saved)?);
        let [flags] = taken(saved)?;
        replayer.is_whole = flags & WHOLE != 0;
        replayer.is_restarted = flags & RESTARTED != 0;
        replayer.began_ns = u64::from_le_bytes(taken(saved)?);
        for book in [Book::Prices, Book::Orders] {
            for _ in 0..u32::from_le_bytes(taken(saved)?) {
                let entered = restore_book(&mut replayer.instruments, book, saved)?;
                if !entered {
                    return Err("more instruments than there is room for, or one twice");
                }
            }
        }
        replayer.suspects = replayer.instruments.suspects().count();
        replayer.queue = Queue::restore(config.max_bytes, saved, replayer.last)
            .ok_or("the packets kept for suspect books are cut, or others")?;
        Ok(replayer)
    }
}

/// Reads a book; false when there is no room for it or it is there already.
fn restore_book(
    instruments: &mut Instruments,
    book: Book,
    saved: &mut &[u8],
) -> Result<bool, &'static str> {
    let security_id = i32::from_le_bytes(taken(saved)?);
    let is_new = instruments.trust(security_id, book).is_none();
    let trust = taken_trust(saved)?;
    let entered = match book {
        Book::Prices => {
            let prices = Prices {
                trust,
                rpt_seq: u32::from_le_bytes(taken(saved)?),
                touched: u32::from_le_bytes(taken(saved)?),
                includes: u32::from_le_bytes(taken(saved)?),
            };
            instruments.set_prices(security_id, prices)
        }
        Book::Orders => {
            let includes = u32::from_le_bytes(taken(saved)?);
            instruments.set_orders(security_id, Orders { trust, includes })
        }
    };
    Ok(entered && is_new)
}

fn put(out: &mut Vec<u8>, number: u32) {
    out.extend_from_slice(&number.to_le_bytes());
}

fn put_trust(out: &mut Vec<u8>, trust: Trust) {
    let (is_suspect, since) = match trust {
        Trust::Suspect { since } => (1, since),
        // A book is only rebuilt within one call.
        Trust::Good | Trust::Rebuilding => (0, 0),
    };
    out.push(is_suspect);
    put(out, since);
}

fn taken_trust(saved: &mut &[u8]) -> Result<Trust, &'static str> {
    let [is_suspect] = taken(saved)?;
    let since = u32::from_le_bytes(taken(saved)?);
    match is_suspect {
        0 => Ok(Trust::Good),
        1 => Ok(Trust::Suspect { since }),
        _ => Err("a trust that is neither good nor suspect"),
    }
}

/// Takes the first bytes away.
fn taken<const N: usize>(saved: &mut &[u8]) -> Result<[u8; N], &'static str> {
    let (taken, rest) = saved
        .split_first_chunk()
        .ok_or("the numbers of a CME channel are cut")?;
    *saved = rest;
    Ok(*taken)
}
