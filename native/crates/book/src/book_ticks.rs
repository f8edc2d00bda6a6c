//! The ticks of a channel's books: configured, or named by the venue; see [`crate::ticks`].

use tickdeck_wire::cme::Definition;

use crate::books::{Books, KeyScope};
use crate::price_book::PriceBook;
use crate::ticks::{TickRule, TickRules, TickTable};
use crate::types::{BookId, Symbol};

impl Books {
    /// Levels made off the tick of their instrument (`book_off_tick_total`), since these books were
    /// made or restored.
    pub fn off_tick(&self) -> u64 {
        self.store.ticks.off()
    }

    /// Books by order whose ticks are known.
    pub fn tick_count(&self) -> usize {
        self.store.ticks.count()
    }

    /// Takes the configured ticks, for the books that are and those to come.
    pub fn configure_ticks(&mut self, rules: TickRules) {
        self.tick_rules = rules;
        self.ticks_by_price.clear();
        for id in (0..self.listings.len() as u32).map(BookId) {
            self.find_ticks(id);
        }
        for (instrument, tick) in self.named_ticks.clone() {
            self.set_named_tick(instrument, tick);
        }
    }

    /// The price steps that definitions named, by instrument, for a snapshot.
    pub fn named_ticks(&self) -> impl ExactSizeIterator<Item = (i64, i64)> {
        self.named_ticks
            .iter()
            .map(|(instrument, tick)| (*instrument, *tick))
    }

    /// Takes a price step that a definition names; configured ticks go before it.
    pub fn set_named_tick(&mut self, instrument: i64, tick: i64) {
        if let Ok(table) = TickTable::new(tick, &[]) {
            self.named_ticks.insert(instrument, tick);
            self.set_ticks(instrument, table);
        }
    }

    /// Takes the ticks that the venue names for an instrument, for its books by order and by price.
    /// Configured ones go before them, and they hold until the books are cleared.
    pub fn set_ticks(&mut self, instrument: i64, table: TickTable) {
        let id = self.by_instrument(instrument);
        let symbol = id.map(|id| self.listings[id.0 as usize].symbol);
        let symbol = symbol.or_else(|| Some(self.prices.get(instrument)?.symbol()));
        let symbol = symbol.unwrap_or_else(|| Symbol::from_number(instrument));
        if self.tick_rule(instrument, symbol).is_some() {
            return;
        }
        self.ticks_by_price.insert(instrument, Some(table.clone()));
        if let Some(id) = id {
            self.store.ticks.set(id, Some(table));
        }
    }

    /// The steps in which a book by price is priced, where they are known.
    pub fn price_ticks(&self, book: &PriceBook) -> Option<TickTable> {
        match self.ticks_by_price.get(&book.instrument()) {
            Some(known) => known.clone(),
            None => self.configured_ticks(book.instrument(), book.symbol()),
        }
    }

    /// A level was made in a book by price.
    #[inline]
    pub(crate) fn on_new_price(&mut self, instrument: i64, price: i64) {
        if !self.tick_rules.is_empty() || !self.ticks_by_price.is_empty() {
            self.look_at_price(instrument, price);
        }
    }

    /// Says that prices have another scale, as the messages' version tells; ticks are found anew.
    pub fn set_price_decimals(&mut self, decimals: u8) {
        if self.config().scale.price_decimals != decimals {
            self.config.scale.price_decimals = decimals;
            self.ticks_by_price.clear();
            self.named_ticks.clear();
            for id in (0..self.listings.len() as u32).map(BookId) {
                self.find_ticks(id);
            }
        }
    }

    /// What a definition says of the instrument's ticks.
    pub(crate) fn define_ticks(&mut self, definition: &Definition<'_>) {
        let instrument = i64::from(definition.security_id());
        // A rule by the name that it has only now may stand against what was found before.
        self.ticks_by_price.remove(&instrument);
        self.named_ticks.remove(&instrument);
        if let Some(tick) = definition.min_price_increment() {
            self.set_named_tick(instrument, tick);
        }
    }

    /// Gives a book the name that the venue says.
    pub(crate) fn set_symbol(&mut self, id: BookId, symbol: Symbol) {
        let listing = &mut self.listings[id.0 as usize];
        if listing.symbol != symbol {
            listing.symbol = symbol;
            self.find_ticks(id);
        }
    }

    /// Sets the ticks of a book: configured ones, or those that the venue named. Ticks that the
    /// venue's scale cannot say are those of no price: the book has none.
    pub(crate) fn find_ticks(&mut self, id: BookId) {
        let listing = self.listings[id.0 as usize];
        let table = match self.tick_rule(listing.instrument, listing.symbol) {
            Some(rule) => rule.table(self.config().scale.price_decimals).ok(),
            None => {
                let named = self.ticks_by_price.get(&listing.instrument);
                named.cloned().flatten()
            }
        };
        self.store.ticks.set(id, table);
    }

    fn look_at_price(&mut self, instrument: i64, price: i64) {
        if !self.ticks_by_price.contains_key(&instrument) {
            let symbol = self.prices.get(instrument).map(PriceBook::symbol);
            let symbol = symbol.unwrap_or_else(|| Symbol::from_number(instrument));
            let table = self.configured_ticks(instrument, symbol);
            self.ticks_by_price.insert(instrument, table);
        }
        if let Some(Some(table)) = self.ticks_by_price.get(&instrument)
            && !table.is_on(price)
        {
            self.store.ticks.count_off();
        }
    }

    fn configured_ticks(&self, instrument: i64, symbol: Symbol) -> Option<TickTable> {
        let rule = self.tick_rule(instrument, symbol)?;
        rule.table(self.config().scale.price_decimals).ok()
    }

    /// The configured ticks of an instrument, by its symbol or its number.
    fn tick_rule(&self, instrument: i64, symbol: Symbol) -> Option<&TickRule> {
        if self.tick_rules.is_empty() {
            return None;
        }
        // Numbers of ITCH are those of one day.
        let is_lasting = self.config().scope != KeyScope::Channel;
        self.tick_rules.get(symbol.as_bytes()).or_else(|| {
            let number = is_lasting.then(|| instrument.to_string());
            self.tick_rules.get(number?.as_bytes())
        })
    }
}
