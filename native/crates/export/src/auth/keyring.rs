//! The keys of all clients, and the text they are kept in.

use std::collections::BTreeMap;

use super::client_id::ClientId;
use super::key::{BadKey, Key, KeyPair};
use super::mac::{Mac, Transcript};

/// Keys by client.
///
/// The text has one line per client, `id current [previous]`, keys as 64 hexadecimal digits; empty
/// lines and lines that begin with `#` do not count.
#[derive(Clone, Debug)]
pub struct Keyring {
    clients: BTreeMap<ClientId, KeyPair>,
    /// What an unknown client is compared with, so that it takes as long as a known one.
    decoy: Key,
}

/// What is wrong with the text, by line; keys are never shown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyringError {
    /// Not two or three words.
    #[error("line {line}: {words} words; a line is: id current_key [previous_key]")]
    Words {
        /// Line, from 1.
        line: usize,
        /// Words on it.
        words: usize,
    },
    /// The first word is no client id.
    #[error(
        "line {line}: a client id is 1 to 64 of A-Z a-z 0-9 . _ - and does not begin with a dot"
    )]
    Client {
        /// Line, from 1.
        line: usize,
    },
    /// A key cannot be read.
    #[error("line {line}: {which} key of {client}: {problem}")]
    Key {
        /// Line, from 1.
        line: usize,
        /// `current` or `previous`.
        which: &'static str,
        /// Whose key.
        client: ClientId,
        /// What is wrong.
        problem: BadKey,
    },
    /// Two lines have one id.
    #[error("line {line}: client {client} has a line already; a client has one")]
    Twice {
        /// Line, from 1.
        line: usize,
        /// Whose.
        client: ClientId,
    },
    /// No client at all: nobody could connect.
    #[error("no line names a client; write: id key, with the key from: openssl rand -hex 32")]
    Empty,
}

/// The answer to a client's proof.
#[derive(Debug)]
pub enum Verdict<'a> {
    /// Proved with this key, with which the provider proves itself too.
    Proved(&'a Key),
    /// No such client.
    Unknown,
    /// Not the MAC of any of its keys.
    WrongMac,
}

impl Keyring {
    /// Reads the text of a key file. `decoy` is random, of no client.
    ///
    /// # Errors
    ///
    /// [`KeyringError`] names the line and what is wrong.
    pub fn parse(text: &str, decoy: Key) -> Result<Self, KeyringError> {
        let mut clients = BTreeMap::new();
        for (index, line) in text.lines().enumerate() {
            let line_no = index + 1;
            let words: Vec<&str> = line.split_whitespace().collect();
            if words.first().is_none_or(|word| word.starts_with('#')) {
                continue;
            }
            let (client, pair) = parse_line(line_no, &words)?;
            if clients.contains_key(&client) {
                return Err(KeyringError::Twice {
                    line: line_no,
                    client,
                });
            }
            clients.insert(client, pair);
        }
        if clients.is_empty() {
            return Err(KeyringError::Empty);
        }
        Ok(Self { clients, decoy })
    }

    /// Looks at a client's proof. Both keys are always tried, for an unknown client decoys, so that
    /// the time tells nothing about which clients and keys there are.
    #[must_use]
    pub fn verify(&self, client: &ClientId, transcript: &Transcript<'_>, mac: &Mac) -> Verdict<'_> {
        let pair = self.clients.get(client);
        let current = pair.map_or(&self.decoy, |pair| &pair.current);
        let previous = pair.and_then(|pair| pair.previous.as_ref());
        let is_current = transcript.client_mac(current).ct_matches(mac);
        let is_previous = transcript
            .client_mac(previous.unwrap_or(&self.decoy))
            .ct_matches(mac);
        match (pair, previous) {
            (None, _) => Verdict::Unknown,
            (Some(pair), _) if bool::from(is_current) => Verdict::Proved(&pair.current),
            (Some(_), Some(key)) if bool::from(is_previous) => Verdict::Proved(key),
            (Some(_), _) => Verdict::WrongMac,
        }
    }

    /// The key that a client proves itself with, or a provider that dials.
    #[must_use]
    pub fn current(&self, client: &ClientId) -> Option<&Key> {
        self.clients.get(client).map(|pair| &pair.current)
    }

    /// The clients, in order.
    pub fn clients(&self) -> impl Iterator<Item = &ClientId> {
        self.clients.keys()
    }
}

fn parse_line(line: usize, words: &[&str]) -> Result<(ClientId, KeyPair), KeyringError> {
    let &[id, current, ref rest @ ..] = words else {
        return Err(KeyringError::Words {
            line,
            words: words.len(),
        });
    };
    if rest.len() > 1 {
        return Err(KeyringError::Words {
            line,
            words: words.len(),
        });
    }
    let client: ClientId = id.parse().map_err(|_| KeyringError::Client { line })?;
    let key = |which, text| {
        Key::from_hex(text).map_err(|problem| KeyringError::Key {
            line,
            which,
            client: client.clone(),
            problem,
        })
    };
    let pair = KeyPair {
        current: key("current", current)?,
        previous: rest.first().map(|text| key("previous", text)).transpose()?,
    };
    Ok((client, pair))
}
