//! All messages of a session, by sequence number.
//!
//! The bytes are one buffer of message blocks (`u16` big-endian length + message), which is what
//! a BinaryFILE holds and what a MoldUDP64 packet carries, so a packet is a slice of it. An index
//! keeps the place of each 16th message: half a byte per message, and at most 15 blocks to skip.

use tickdeck_wire::binaryfile::{self, Messages};
use tickdeck_wire::moldudp64::{BLOCK_LEN, Blocks, skip_blocks};

use crate::SimError;

/// Messages between two entries of the index.
const STRIDE: u64 = 16;

/// The messages of a session; sequence numbers start at 1.
#[derive(Clone, Debug, Default)]
pub struct History {
    blocks: Vec<u8>,
    /// Where messages 1, 17, 33, … start in `blocks`.
    index: Vec<usize>,
    messages: u64,
    longest: usize,
}

/// Collects messages into a [`History`].
#[derive(Clone, Debug, Default)]
pub struct HistoryBuilder {
    history: History,
}

impl History {
    /// Takes over a whole BinaryFILE.
    ///
    /// # Errors
    /// [`SimError::Truncated`] when it ends inside a message.
    pub fn from_binary_file(file: Vec<u8>) -> Result<Self, SimError> {
        let mut history = Self::default();
        let mut messages = Messages::new(&file);
        loop {
            let offset = messages.offset();
            match messages.next() {
                Some(Ok(message)) => history.note(offset, message.len()),
                Some(Err(cut)) => return Err(SimError::Truncated(cut)),
                None => break,
            }
        }
        history.blocks = file;
        Ok(history)
    }

    /// Number of messages, which is the last sequence number.
    pub fn messages(&self) -> u64 {
        self.messages
    }

    /// The sequence number after the last message.
    pub fn next_sequence(&self) -> u64 {
        self.messages + 1
    }

    /// Bytes of the longest message.
    pub fn longest(&self) -> usize {
        self.longest
    }

    /// The message with this sequence number; `None` when there is none.
    pub fn message(&self, sequence: u64) -> Option<&[u8]> {
        Blocks::new(self.blocks_from(sequence)?).next()
    }

    /// The blocks of messages `first .. first + count`; `None` unless all of them exist.
    pub fn blocks(&self, first: u64, count: u16) -> Option<&[u8]> {
        let start = self.blocks_from(first)?;
        let rest = skip_blocks(start, usize::from(count))?;
        Some(&start[..start.len() - rest.len()])
    }

    /// How many messages from `first` on fit `max_bytes` of blocks, at most `max_count`.
    pub fn fitting(&self, first: u64, max_count: u16, max_bytes: usize) -> u16 {
        let Some(start) = self.blocks_from(first) else {
            return 0;
        };
        let mut used = 0;
        let mut count = 0;
        for message in Blocks::new(start).take(usize::from(max_count)) {
            used += BLOCK_LEN + message.len();
            if used > max_bytes {
                break;
            }
            count += 1;
        }
        count
    }

    /// All blocks from this message to the end.
    fn blocks_from(&self, sequence: u64) -> Option<&[u8]> {
        if sequence == 0 || sequence > self.messages {
            return None;
        }
        let before = sequence - 1;
        let start = *self.index.get(usize::try_from(before / STRIDE).ok()?)?;
        skip_blocks(&self.blocks[start..], (before % STRIDE) as usize)
    }

    fn note(&mut self, offset: usize, length: usize) {
        if self.messages.is_multiple_of(STRIDE) {
            self.index.push(offset);
        }
        self.messages += 1;
        self.longest = self.longest.max(length);
    }
}

impl HistoryBuilder {
    /// A builder with room for about `bytes` of messages.
    pub fn with_capacity(bytes: usize) -> Self {
        let history = History {
            blocks: Vec::with_capacity(bytes),
            ..History::default()
        };
        Self { history }
    }

    /// Appends a message.
    ///
    /// # Errors
    /// [`SimError::TooLong`] for a message over 65,535 bytes.
    pub fn push(&mut self, message: &[u8]) -> Result<(), SimError> {
        let offset = self.history.blocks.len();
        binaryfile::push(&mut self.history.blocks, message).map_err(SimError::TooLong)?;
        self.history.note(offset, message.len());
        Ok(())
    }

    /// The finished history.
    pub fn finish(mut self) -> History {
        self.history.blocks.shrink_to_fit();
        self.history
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn history(messages: &[Vec<u8>]) -> History {
        let mut builder = HistoryBuilder::with_capacity(64);
        messages
            .iter()
            .for_each(|message| builder.push(message).unwrap());
        builder.finish()
    }

    proptest! {
        /// Proves that every sequence number finds its message and no other number finds one.
        #[test]
        fn each_sequence_finds_its_message(messages in vec(vec(any::<u8>(), 0..9), 0..70)) {
            let history = history(&messages);
            prop_assert_eq!(history.messages(), messages.len() as u64);
            for (sequence, message) in (1..).zip(&messages) {
                prop_assert_eq!(history.message(sequence), Some(&message[..]));
            }
            prop_assert_eq!(history.message(0), None);
            prop_assert_eq!(history.message(history.next_sequence()), None);
        }

        /// Proves that a range of blocks is exactly those messages, and absent when any is.
        #[test]
        fn a_range_is_its_messages(
            messages in vec(vec(any::<u8>(), 0..9), 1..70),
            first in 0u64..72,
            count in 0u16..72,
        ) {
            let history = history(&messages);
            let end = first + u64::from(count);
            let exists = first >= 1 && first <= history.messages() && end <= history.next_sequence();
            match history.blocks(first, count) {
                None => prop_assert!(!exists),
                Some(blocks) => {
                    prop_assert!(exists);
                    let expected = &messages[first as usize - 1..end as usize - 1];
                    prop_assert_eq!(Blocks::new(blocks).collect::<Vec<_>>(), expected);
                }
            }
        }

        /// Proves that a built history and the same bytes read as a file are equal, and that a
        /// cut file is refused.
        #[test]
        fn a_file_and_a_built_history_are_equal(messages in vec(vec(any::<u8>(), 0..9), 1..40)) {
            let built = history(&messages);
            let read = History::from_binary_file(built.blocks.clone()).unwrap();
            prop_assert_eq!(&read.index, &built.index);
            prop_assert_eq!((read.messages, read.longest), (built.messages, built.longest));
            let cut = built.blocks[..built.blocks.len() - 1].to_vec();
            prop_assert!(matches!(History::from_binary_file(cut), Err(SimError::Truncated(_))));
        }

        /// Proves that as many messages fit as their bytes allow and the next one would not.
        #[test]
        fn as_many_fit_as_the_bytes_allow(
            messages in vec(vec(any::<u8>(), 0..9), 1..40),
            first in 1u64..40,
            max_count in 0u16..40,
            max_bytes in 0usize..120,
        ) {
            let history = history(&messages);
            prop_assume!(first <= history.messages());
            let count = history.fitting(first, max_count, max_bytes);
            let size = |count| history.blocks(first, count).map(<[u8]>::len);
            prop_assert!(count <= max_count && size(count).unwrap() <= max_bytes);
            if count < max_count && let Some(more) = size(count + 1) {
                prop_assert!(more > max_bytes);
            }
        }
    }
}
