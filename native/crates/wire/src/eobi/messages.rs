//! The messages of a packet, stepped over by BodyLen.

use std::iter::FusedIterator;

use super::{MESSAGE_HEADER_LEN, fields};

/// A message of a packet. Its length is BodyLen, whatever the release says of its template.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Message<'a> {
    bytes: &'a [u8],
}

/// The messages of a packet, in order.
#[derive(Clone, Debug)]
pub struct Messages<'a> {
    rest: &'a [u8],
}

impl<'a> Message<'a> {
    /// A message on its own; `None` unless its BodyLen is all of the bytes.
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut messages = Messages { rest: bytes };
        let message = messages.next()?;
        (messages.rest.is_empty() && bytes.len() >= MESSAGE_HEADER_LEN).then_some(message)
    }

    /// TemplateID.
    pub fn template_id(&self) -> u16 {
        fields::u16_at(self.bytes, 2)
    }

    /// The message's number within its product; within the cycle on a snapshot channel. `None`
    /// where the format leaves it unused, as in heartbeats.
    pub fn msg_seq_num(&self) -> Option<u32> {
        match fields::u32_at(self.bytes, 4) {
            u32::MAX => None,
            number => Some(number),
        }
    }

    /// The whole message, from its BodyLen on: offsets of the layouts count from here.
    pub fn body(&self) -> &'a [u8] {
        self.bytes
    }
}

impl<'a> Messages<'a> {
    /// Iterates over `bytes`, in which a packet's check found whole messages only.
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }
}

impl<'a> Iterator for Messages<'a> {
    type Item = Message<'a>;

    fn next(&mut self) -> Option<Message<'a>> {
        let head = self.rest.first_chunk::<MESSAGE_HEADER_LEN>()?;
        let length = usize::from(fields::u16_at(head, 0));
        let (bytes, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(Message { bytes })
    }
}

impl FusedIterator for Messages<'_> {}
