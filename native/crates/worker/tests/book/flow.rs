//! A small generated day, cut into records, and the books that it must lead to.

use std::collections::BTreeMap;

use tickdeck_book::{Books, BooksConfig, hash};
use tickdeck_sim::SimError;
use tickdeck_sim::day::{DayConfig, generate};
use tickdeck_wire::binaryfile;

/// Messages in one record.
const RUN: usize = 7;

/// The messages of a day.
pub(crate) struct Flow {
    pub(crate) messages: Vec<Vec<u8>>,
}

impl Flow {
    /// A day of three instruments, always the same.
    pub(crate) fn new(messages: u64) -> Self {
        let config = DayConfig {
            messages,
            instruments: 3,
            seed: 5,
        };
        let mut list = Vec::new();
        generate(config, |message| {
            list.push(message.to_vec());
            Ok::<_, SimError>(())
        })
        .expect("three instruments are allowed");
        // The directory is not in the order of the names, as a venue's need not be.
        let is_directory = |message: &Vec<u8>| message[0] == b'R';
        let first = list.iter().position(is_directory).expect("a directory");
        let last = list.iter().rposition(is_directory).expect("a directory");
        list.swap(first, last);
        Self { messages: list }
    }

    /// Sequence number of the last message.
    pub(crate) fn last(&self) -> u64 {
        self.messages.len() as u64
    }

    /// Message blocks of `first..=last`.
    pub(crate) fn blocks(&self, first: u64, last: u64) -> Vec<u8> {
        let mut payload = Vec::new();
        for message in &self.messages[first as usize - 1..last as usize] {
            binaryfile::push(&mut payload, message).expect("messages are short");
        }
        payload
    }

    /// `first..=last` in runs of a few messages: first sequence number and blocks of each.
    pub(crate) fn runs(&self, first: u64, last: u64) -> impl Iterator<Item = (u64, Vec<u8>)> {
        (first..=last)
            .step_by(RUN)
            .map(move |start| (start, self.blocks(start, last.min(start + RUN as u64 - 1))))
    }

    /// Queue hash of each instrument after the messages up to `last`, without `left_out`.
    pub(crate) fn hashes(
        &self,
        last: u64,
        left_out: std::ops::Range<u64>,
    ) -> BTreeMap<String, String> {
        let mut books = Books::new(BooksConfig::default());
        for (sequence, message) in (1..=last).zip(&self.messages) {
            if !left_out.contains(&sequence) {
                books.apply(sequence, message);
            }
        }
        books
            .iter()
            .map(|book| (book.symbol().to_string(), hash::hex(&book.queue_sha256())))
            .collect()
    }
}
