//! What EOBI says beside orders, as bytes for the worker's snapshot, little-endian.
//!
//! | Part | Fields |
//! |---|---|
//! | head | u64 next serial, u32 number of counters, u64 each |
//! | products | u32 count, by id: i32 id, session, sub-session and status u8 each, u8 within a unit of work, doubt of what is missing, doubt of what could not be applied |
//! | instruments | u32 count, by book: i32 product, status and kind u8 each, three touches |
//! | market orders | u32 count, by name: u32 book, u8 side, u64 reference, u64 quantity |
//!
//! A doubt is its cause u8 (0: none) and u64 since. A touch is u8 1 and its message's body as of
//! release 14.1, or u8 0. Which books a product has follows from the instruments.

use tickdeck_wire::eobi::{Release, Structure, layout};

use super::market::MarketOrder;
use super::{EobiBooks, EobiCounters, Instrument, Product};
use crate::trust::{Cause, Doubt};
use crate::types::{BookId, Side};

/// Bytes of touches.
const AUCTION_BBO: usize = layout::v14_1::auction_bbo::LAYOUT.body_len;
const CLEARING_PRICE: usize = layout::v14_1::auction_clearing_price::LAYOUT.body_len;
const TOP_OF_BOOK: usize = layout::v14_1::top_of_book::LAYOUT.body_len;

const CUT: &str = "EOBI: the venue's part ends early";

impl EobiBooks {
    /// Appends what is known beside the orders at prices.
    pub fn save(&self, out: &mut Vec<u8>) {
        put_u64(out, self.next_serial);
        let counters = self.counters.named();
        put_count(out, counters.len());
        counters.iter().for_each(|(_, count)| put_u64(out, *count));
        let mut products: Vec<_> = self.products.iter().collect();
        products.sort_unstable_by_key(|(id, _)| **id);
        put_count(out, products.len());
        for (id, product) in products {
            out.extend_from_slice(&id.to_le_bytes());
            out.extend_from_slice(&[product.session, product.sub_session, product.session_status]);
            out.push(product.is_open.into());
            put_doubt(out, product.doubt);
            put_doubt(out, product.broken);
        }
        put_count(out, self.instruments.len());
        for instrument in &self.instruments {
            out.extend_from_slice(&instrument.product.to_le_bytes());
            out.extend_from_slice(&[instrument.security_status, instrument.product_complex]);
            put_touch::<_, AUCTION_BBO>(out, instrument.auction_bbo);
            put_touch::<_, CLEARING_PRICE>(out, instrument.clearing_price);
            put_touch::<_, TOP_OF_BOOK>(out, instrument.top_of_book);
        }
        put_count(out, self.market.all().len());
        for order in self.market.all() {
            out.extend_from_slice(&order.book.0.to_le_bytes());
            out.push(order.side as u8);
            put_u64(out, order.reference);
            put_u64(out, order.quantity);
        }
    }

    /// Takes back what [`Self::save`] wrote, when the books are restored: from the front of the
    /// bytes, which then begin behind it.
    ///
    /// # Errors
    /// What is wrong with the bytes.
    pub fn restore(&mut self, saved: &mut &[u8]) -> Result<(), &'static str> {
        let mut bytes = Bytes(saved);
        self.next_serial = bytes.u64()?;
        if bytes.u32()? as usize != EobiCounters::WORDS {
            return Err("EOBI: another number of counters");
        }
        let mut words = [0; EobiCounters::WORDS];
        for word in &mut words {
            *word = bytes.u64()?;
        }
        self.counters = EobiCounters::from_words(words);
        for _ in 0..bytes.u32()? {
            self.restore_product(&mut bytes)?;
        }
        if bytes.u32()? as usize != self.books.len() {
            return Err("EOBI: another number of instruments than of books");
        }
        for book in (0..self.books.len() as u32).map(BookId) {
            let instrument = Instrument {
                product: i32::from_le_bytes(bytes.take()?),
                security_status: bytes.u8()?,
                product_complex: bytes.u8()?,
                auction_bbo: bytes.touch::<_, AUCTION_BBO>()?,
                clearing_price: bytes.touch::<_, CLEARING_PRICE>()?,
                top_of_book: bytes.touch::<_, TOP_OF_BOOK>()?,
            };
            let product = self.products.get_mut(&instrument.product);
            let product = product.ok_or("EOBI: an instrument of no product")?;
            product.books.push(book);
            self.instruments.push(instrument);
        }
        for _ in 0..bytes.u32()? {
            self.restore_market_order(&mut bytes)?;
        }
        self.note_unnamed();
        *saved = bytes.0;
        Ok(())
    }

    fn restore_product(&mut self, bytes: &mut Bytes<'_>) -> Result<(), &'static str> {
        let id = i32::from_le_bytes(bytes.take()?);
        let [session, sub_session, session_status, is_open] = bytes.take()?;
        let product = Product {
            books: Vec::new(),
            session,
            sub_session,
            session_status,
            is_open: is_open != 0,
            doubt: bytes.doubt()?,
            broken: bytes.doubt()?,
        };
        self.open_products += usize::from(product.is_open);
        match self.products.insert(id, product) {
            None => Ok(()),
            Some(_) => Err("EOBI: a product stands twice"),
        }
    }

    fn restore_market_order(&mut self, bytes: &mut Bytes<'_>) -> Result<(), &'static str> {
        let order = MarketOrder {
            book: BookId(u32::from_le_bytes(bytes.take()?)),
            side: match bytes.u8()? {
                0 => Side::Bid,
                1 => Side::Ask,
                _ => return Err("EOBI: a market order of no side"),
            },
            reference: bytes.u64()?,
            quantity: bytes.u64()?,
        };
        let is_known = (order.book.0 as usize) < self.books.len();
        if !is_known || order.quantity == 0 || !self.market.add(order) {
            return Err("EOBI: a market order that cannot rest");
        }
        Ok(())
    }
}

/// Bytes that are read one after the other.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], &'static str> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(CUT)?;
        self.0 = rest;
        Ok(*taken)
    }

    fn u8(&mut self) -> Result<u8, &'static str> {
        self.take().map(|[byte]| byte)
    }

    fn u32(&mut self) -> Result<u32, &'static str> {
        self.take().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, &'static str> {
        self.take().map(u64::from_le_bytes)
    }

    fn doubt(&mut self) -> Result<Option<Doubt>, &'static str> {
        let (code, since) = (self.u8()?, self.u64()?);
        if code == 0 {
            return Ok(None);
        }
        let cause = Cause::from_code(code).ok_or("EOBI: an unknown cause")?;
        Ok(Some(Doubt { since, cause }))
    }

    fn touch<T: Structure<'a>, const LEN: usize>(&mut self) -> Result<Option<T>, &'static str> {
        if self.u8()? == 0 {
            return Ok(None);
        }
        let (body, rest) = self.0.split_at_checked(LEN).ok_or(CUT)?;
        self.0 = rest;
        T::read(Release::V14_1, body).map(Some)
    }
}

fn put_touch<'a, T: Structure<'a>, const LEN: usize>(out: &mut Vec<u8>, touch: Option<T>) {
    out.push(touch.is_some().into());
    if let Some(touch) = touch {
        let mut body = [0; LEN];
        touch.write(Release::V14_1, &mut body);
        out.extend_from_slice(&body);
    }
}

fn put_doubt(out: &mut Vec<u8>, doubt: Option<Doubt>) {
    out.push(doubt.map_or(0, |doubt| doubt.cause as u8));
    put_u64(out, doubt.map_or(0, |doubt| doubt.since));
}

fn put_u64(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(&value.to_le_bytes());
}

/// Counts here are far below 2^32 by their limits.
fn put_count(out: &mut Vec<u8>, count: usize) {
    let count = u32::try_from(count).expect("counts have 32 bits");
    out.extend_from_slice(&count.to_le_bytes());
}
