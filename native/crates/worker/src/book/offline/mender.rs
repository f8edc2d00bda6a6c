//! Cuts the wide stock fields that some converters write, see [`binaryfile::conform`], piece by
//! piece.

use std::borrow::Cow;

use tickdeck_wire::binaryfile::{self, Conformed, Messages};

/// Knows how wide the stock fields of a file are, once it has seen one.
#[derive(Default)]
pub(super) struct Mender {
    width: Width,
    narrowed: u64,
}

/// What the first stock directory message says of the file's stock fields.
#[derive(Default)]
enum Width {
    /// None was seen yet.
    #[default]
    Unknown,
    /// They are as specified.
    Right,
    /// They are wide, as in this message (with its length field).
    Wide(Vec<u8>),
}

impl Mender {
    /// The piece, which holds whole messages, with stock fields of eight bytes; `None` when they
    /// have that already.
    pub(super) fn mend(&mut self, piece: &[u8]) -> Option<Vec<u8>> {
        match &self.width {
            Width::Right => None,
            Width::Unknown => {
                let mended = conform(piece);
                self.narrowed += mended.narrowed;
                if let Some(directory) = first_directory(piece) {
                    let is_wide = mended.narrowed > 0;
                    self.width = if is_wide {
                        Width::Wide(directory)
                    } else {
                        Width::Right
                    };
                }
                match mended.bytes {
                    Cow::Borrowed(_) => None,
                    Cow::Owned(bytes) => Some(bytes),
                }
            }
            Width::Wide(directory) => {
                // The message goes in front, so that the piece is measured by it, and comes off
                // again.
                let together = [directory, piece].concat();
                let mended = conform(&together);
                self.narrowed += mended.narrowed - 1;
                let mut messages = Messages::new(&mended.bytes);
                messages.by_ref().next();
                let len = messages.offset();
                Some(mended.bytes[len..].to_vec())
            }
        }
    }

    /// Messages whose stock field was cut.
    pub(super) fn narrowed(&self) -> u64 {
        self.narrowed
    }
}

fn conform(messages: &[u8]) -> Conformed<'_> {
    binaryfile::conform(messages).expect("a piece holds whole messages")
}

/// The first stock directory message with its length field.
fn first_directory(piece: &[u8]) -> Option<Vec<u8>> {
    let mut messages = Messages::new(piece).map_while(Result::ok);
    let directory = messages.find(|message| message.first() == Some(&b'R'))?;
    let mut copy = Vec::new();
    binaryfile::push(&mut copy, directory).expect("it was read from such a file");
    Some(copy)
}
