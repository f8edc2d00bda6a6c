//! Sentences inside messages: bounded, and without anything that a terminal could misunderstand.

use std::fmt;

/// A sentence for people: at most 200 bytes of printable ASCII.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sentence(String);

impl Sentence {
    /// Most bytes of a sentence.
    pub const MAX_LEN: usize = 200;

    /// Makes any text fit: other characters become `?`, what is too long is cut.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let printable = |letter: char| if is_printable(letter) { letter } else { '?' };
        Self(text.chars().take(Self::MAX_LEN).map(printable).collect())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        (text.len() <= Self::MAX_LEN && text.chars().all(is_printable))
            .then(|| Self(text.to_owned()))
    }
}

impl fmt::Display for Sentence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_printable(letter: char) -> bool {
    letter == ' ' || letter.is_ascii_graphic()
}
