//! Lies of the servers that messages can be recovered from: which are told, by whom, how often.
//!
//! | Lie | The server |
//! |---|---|
//! | `wrong_session` | answers for another session |
//! | `garbage` | sends bytes that are no packet |
//! | `truncated` | ends inside a packet |
//! | `stale` | answers an older range, or with an old snapshot |
//! | `slow` | answers after a delay |
//! | `silent` | does not answer |
//! | `partial` | sends a part and calls that all |
//! | `oversize` | sends more than was asked for, or than may be |
//! | `not_asked` | answers a range that nobody asked for |
//! | `disconnected` | closes the connection |
//! | `refused` | says no |
//!
//! The re-request server speaks UDP: it neither closes nor refuses, so it is silent then. Where a
//! lie is not possible (nothing is older than the first message), the truth is told.

use crate::random::{mix, unit};

/// What a server does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lie {
    /// Answers for another session.
    WrongSession,
    /// Sends bytes that are no packet.
    Garbage,
    /// Ends inside a packet.
    Truncated,
    /// Answers an older range, or with an old snapshot.
    Stale,
    /// Answers after a delay.
    Slow,
    /// Does not answer.
    Silent,
    /// Sends a part and calls that all.
    Partial,
    /// Sends more than was asked for, or than may be.
    Oversize,
    /// Answers a range that nobody asked for.
    NotAsked,
    /// Closes the connection.
    Disconnected,
    /// Says no.
    Refused,
}

/// A server that messages can be recovered from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Server {
    /// MoldUDP64 re-requests.
    Request,
    /// The SoupBinTCP stream.
    Soup,
    /// GLIMPSE snapshots.
    Glimpse,
    /// `len_seq_payload`.
    Peer,
}

/// A lie under its lease.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ArmedLie {
    /// Id of the fault.
    pub id: u64,
    /// Who lies.
    pub server: Server,
    /// How.
    pub lie: Lie,
    /// Share of answers, 0 to 1.
    pub probability: f64,
    /// Delay of a slow answer.
    pub delay_ns: u64,
    /// Seed of its lots.
    pub seed: u64,
    /// End of the lease, monotonic.
    pub expires_ns: u64,
}

/// The lie to be told with one answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    /// Which.
    pub lie: Lie,
    /// Delay of a slow answer.
    pub delay_ns: u64,
    /// For what is random in it.
    pub seed: u64,
}

/// What the servers look at before each answer. The lot falls on the n-th answer of a server and
/// depends on the seed only.
#[derive(Clone, Debug, Default)]
pub struct Lies {
    armed: Vec<ArmedLie>,
    hits: Vec<u64>,
    answers: [u64; Server::ALL.len()],
}

impl Lie {
    /// Every lie.
    pub const ALL: [Self; 11] = [
        Self::WrongSession,
        Self::Garbage,
        Self::Truncated,
        Self::Stale,
        Self::Slow,
        Self::Silent,
        Self::Partial,
        Self::Oversize,
        Self::NotAsked,
        Self::Disconnected,
        Self::Refused,
    ];

    /// The lie as a stable snake_case word, the one by which the gap ledger names the fault.
    pub fn name(self) -> &'static str {
        match self {
            Self::WrongSession => "wrong_session",
            Self::Garbage => "garbage",
            Self::Truncated => "truncated",
            Self::Stale => "stale",
            Self::Slow => "slow",
            Self::Silent => "silent",
            Self::Partial => "partial",
            Self::Oversize => "oversize",
            Self::NotAsked => "not_asked",
            Self::Disconnected => "disconnected",
            Self::Refused => "refused",
        }
    }

    /// The inverse of [`Lie::name`].
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|lie| lie.name() == name)
    }
}

impl Server {
    /// Every server.
    pub const ALL: [Self; 4] = [Self::Request, Self::Soup, Self::Glimpse, Self::Peer];

    /// The server as a stable word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Soup => "soup",
            Self::Glimpse => "glimpse",
            Self::Peer => "peer",
        }
    }

    /// The inverse of [`Server::name`].
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|server| server.name() == name)
    }
}

impl Lies {
    /// These are armed now.
    pub fn replace(&mut self, armed: impl Iterator<Item = ArmedLie>) {
        self.armed.clear();
        self.armed.extend(armed);
    }

    /// The lie for the next answer of a server; `None` is the truth.
    pub fn draw(&mut self, server: Server, now_ns: u64) -> Option<Order> {
        let answers = &mut self.answers[server as usize];
        *answers += 1;
        let lot = |seed| mix(mix(seed, server as u64), *answers);
        let drawn = self.armed.iter().find(|armed| {
            let is_due = armed.server == server && now_ns < armed.expires_ns;
            is_due && unit(lot(armed.seed)) < armed.probability
        })?;
        self.hits.push(drawn.id);
        Some(Order {
            lie: drawn.lie,
            delay_ns: drawn.delay_ns,
            seed: lot(drawn.seed),
        })
    }

    /// Ids of the faults that struck since the last call, once for each answer.
    pub fn take_hits(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.hits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn armed(server: Server, lie: Lie, probability: f64) -> ArmedLie {
        ArmedLie {
            id: 7,
            server,
            lie,
            probability,
            delay_ns: 5,
            seed: 3,
            expires_ns: 100,
        }
    }

    /// Proves that only the named server lies, within the lease, about as often as told, the same
    /// answers in each run, and that each lie is counted.
    #[test]
    fn a_lie_has_its_server_its_lease_and_its_share() {
        let draw = |server, now_ns| {
            let mut lies = Lies::default();
            lies.replace([armed(Server::Soup, Lie::Stale, 0.25)].into_iter());
            let drawn: Vec<_> = (0..1_000).map(|_| lies.draw(server, now_ns)).collect();
            let count = drawn.iter().flatten().count();
            assert_eq!(lies.take_hits(), vec![7; count]);
            (drawn, count)
        };
        let (first, count) = draw(Server::Soup, 99);
        assert!((200..300).contains(&count), "{count}");
        assert_eq!(draw(Server::Soup, 99).0, first);
        assert_eq!((draw(Server::Soup, 100).1, draw(Server::Peer, 0).1), (0, 0));
    }

    /// Proves that each name finds its lie and its server.
    #[test]
    fn names_come_back() {
        assert!(
            Lie::ALL
                .into_iter()
                .all(|lie| Lie::from_name(lie.name()) == Some(lie))
        );
        let found = |server: Server| Server::from_name(server.name()) == Some(server);
        assert!(Server::ALL.into_iter().all(found));
        assert_eq!((Lie::from_name("x"), Server::from_name("x")), (None, None));
    }
}
