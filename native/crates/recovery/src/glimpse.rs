//! The client of a GLIMPSE server: one whole snapshot, or nothing.
//!
//! A snapshot cannot be resumed, so a connection that breaks ends the request; the caller asks
//! again. The messages are kept, bounded, until the end names the number to go on with; a snapshot
//! that is older than what it has to cover is [`Fault::Stale`].

use tickdeck_wire::glimpse::{END_KIND, LOGIN_SEQUENCE, SnapshotEnd};
use tickdeck_wire::itch50::{self, Message};
use tickdeck_wire::moldudp64::{Blocks, Session};

use crate::Fault;
use crate::client::{self, Content, Delivery, Wrong};
use crate::soup::{SoupClient, SoupConfig, Wanted};

/// Limits of a snapshot.
#[derive(Clone, Debug)]
pub struct GlimpseConfig {
    /// Login and waits; its limits on messages and its reconnects do not count here.
    pub soup: SoupConfig,
    /// From the request to the snapshot's end.
    pub timeout_ns: u64,
    /// Most bytes of message blocks.
    pub max_bytes: usize,
}

/// What the caller is to do; as [`client::Action`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Connect.
    Connect,
    /// Send this.
    Send(Vec<u8>),
    /// Close the connection.
    Close,
    /// The snapshot is whole.
    Loaded(Snapshot),
    /// There is none.
    Failed {
        /// Why.
        fault: Fault,
        /// The same in words.
        detail: String,
    },
}

/// The state of a venue before `resume_sequence`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Session of the server's login.
    pub session: Session,
    /// The first message that still has to be applied.
    pub resume_sequence: u64,
    /// Messages in it.
    pub messages: u64,
    /// Resting orders among them.
    pub orders: u64,
    /// Length and bytes of each message.
    pub blocks: Vec<u8>,
}

/// See the module's documentation; how to drive it: [`crate::client`].
#[derive(Clone, Debug)]
pub struct GlimpseClient {
    config: GlimpseConfig,
    soup: SoupClient,
    /// While a snapshot is wanted.
    loading: Option<Loading>,
    outcome: Option<Action>,
}

#[derive(Clone, Debug)]
struct Loading {
    until_ns: u64,
    at_least: u64,
    snapshot: Snapshot,
}

impl Default for GlimpseConfig {
    /// Ten seconds, 256 MiB.
    fn default() -> Self {
        Self {
            soup: SoupConfig::default(),
            timeout_ns: 10_000_000_000,
            max_bytes: 256 << 20,
        }
    }
}

impl GlimpseClient {
    /// A client that wants nothing yet.
    pub fn new(config: GlimpseConfig) -> Self {
        let mut soup = config.soup.clone();
        soup.check = snapshot_message;
        soup.timing.reconnects = 0;
        Self {
            soup: SoupClient::new(soup),
            config,
            loading: None,
            outcome: None,
        }
    }

    /// Asks for a snapshot; with a `session` only of that one. It has to contain everything before
    /// `at_least`. What was asked for before is forgotten without a further word.
    pub fn ask(&mut self, session: Option<Session>, at_least: u64, now_ns: u64) {
        self.outcome = None;
        self.loading = Some(Loading {
            until_ns: now_ns.saturating_add(self.config.timeout_ns),
            at_least,
            snapshot: Snapshot {
                session: Session([b' '; 10]),
                resume_sequence: 0,
                messages: 0,
                orders: 0,
                blocks: Vec::new(),
            },
        });
        let wanted = Wanted {
            session,
            first_sequence: LOGIN_SEQUENCE,
            count: None,
        };
        self.soup.ask(wanted, now_ns);
    }

    /// Wants nothing any more.
    pub fn stop(&mut self) {
        (self.loading, self.outcome) = (None, None);
        self.soup.stop();
    }

    /// Whether nothing is wanted.
    pub fn is_idle(&self) -> bool {
        self.loading.is_none()
    }

    /// The connection stands.
    pub fn on_connected(&mut self, now_ns: u64) {
        self.soup.on_connected(now_ns);
    }

    /// These bytes came.
    pub fn on_bytes(&mut self, bytes: &[u8], now_ns: u64) {
        self.soup.on_bytes(bytes, now_ns);
    }

    /// The connection is gone, or could not be made.
    pub fn on_closed(&mut self, now_ns: u64) {
        self.soup.on_closed(now_ns);
    }

    /// The next thing to do, or `None` until [`GlimpseClient::next_deadline_ns`].
    pub fn poll(&mut self, now_ns: u64) -> Option<Action> {
        if let Some(loading) = &self.loading
            && loading.until_ns <= now_ns
        {
            let text = "the snapshot did not come in time";
            self.fail(Wrong::new(Fault::Slow, text));
        }
        while let Some(action) = self.soup.poll(now_ns) {
            match action {
                client::Action::Connect => return Some(Action::Connect),
                client::Action::Send(bytes) => return Some(Action::Send(bytes)),
                client::Action::Close => return Some(Action::Close),
                client::Action::Deliver(delivery) => self.on_messages(&delivery),
                client::Action::Noticed { .. } => {}
                client::Action::Failed { fault, detail, .. } => {
                    self.fail(Wrong { fault, detail });
                }
                client::Action::Done { .. } => {
                    let text = "the session ended before the snapshot";
                    self.fail(Wrong::new(Fault::Partial, text));
                }
            }
        }
        self.outcome.take()
    }

    /// When `poll` has something to do although nothing happens.
    pub fn next_deadline_ns(&self) -> Option<u64> {
        let own = self.loading.as_ref().map(|loading| loading.until_ns);
        own.into_iter().chain(self.soup.next_deadline_ns()).min()
    }

    fn on_messages(&mut self, delivery: &Delivery) {
        let (Some(loading), Content::Blocks { blocks, .. }) =
            (&mut self.loading, &delivery.content)
        else {
            return;
        };
        loading.snapshot.session = delivery.session;
        match loading.take(blocks, self.config.max_bytes) {
            Ok(false) => {}
            Ok(true) => {
                if let Some(loading) = self.loading.take() {
                    self.outcome = Some(Action::Loaded(loading.snapshot));
                }
                self.soup.stop();
            }
            Err(wrong) => self.fail(wrong),
        }
    }

    fn fail(&mut self, wrong: Wrong) {
        if self.loading.take().is_some() {
            let Wrong { fault, detail } = wrong;
            self.outcome = Some(Action::Failed { fault, detail });
        }
        self.soup.stop();
    }
}

impl Loading {
    /// Takes messages; true with the end.
    fn take(&mut self, blocks: &[u8], max_bytes: usize) -> Result<bool, Wrong> {
        let mut messages = Blocks::new(blocks);
        let mut before = blocks.len();
        let snapshot = &mut self.snapshot;
        while let Some(message) = messages.next() {
            let end = match SnapshotEnd::parse(message) {
                Some(Err(error)) => return Err(Wrong::new(Fault::Garbage, error.to_string())),
                Some(Ok(end)) => Some(end),
                None => None,
            };
            if let Some(SnapshotEnd { sequence }) = end {
                snapshot.resume_sequence = sequence;
                return self.judge_end(messages.rest());
            }
            let block = &blocks[blocks.len() - before..blocks.len() - messages.rest().len()];
            before = messages.rest().len();
            if snapshot.blocks.len() + block.len() > max_bytes {
                let text = format!("a snapshot of more than {max_bytes} bytes");
                return Err(Wrong::new(Fault::Oversize, text));
            }
            snapshot.blocks.extend_from_slice(block);
            snapshot.messages += 1;
            let is_order = matches!(message.first(), Some(b'A' | b'F'));
            snapshot.orders += u64::from(is_order);
        }
        Ok(false)
    }

    fn judge_end(&self, rest: &[u8]) -> Result<bool, Wrong> {
        if !rest.is_empty() {
            let text = "messages behind the end of the snapshot";
            return Err(Wrong::new(Fault::Oversize, text));
        }
        let (resume, at_least) = (self.snapshot.resume_sequence, self.at_least);
        if resume < at_least {
            let text = format!("a snapshot before number {resume}, needed is {at_least}");
            return Err(Wrong::new(Fault::Stale, text));
        }
        Ok(true)
    }
}

/// Whether a message belongs into a snapshot: its end, or a state. What changes orders or tells of
/// trades does not.
fn snapshot_message(message: &[u8]) -> bool {
    if message.first() == Some(&END_KIND) {
        return true;
    }
    !matches!(
        itch50::parse(message),
        Err(_)
            | Ok(Message::OrderExecuted(_)
                | Message::OrderExecutedWithPrice(_)
                | Message::OrderCancel(_)
                | Message::OrderDelete(_)
                | Message::OrderReplace(_)
                | Message::Trade(_)
                | Message::CrossTrade(_)
                | Message::BrokenTrade(_))
    )
}
