//! A connection between a client and the sim's server, from one seed.

use tickdeck_recovery::Fault;
use tickdeck_recovery::client::{Action, Content, Delivery};
use tickdeck_recovery::replay::ReplayClient;
use tickdeck_recovery::soup::SoupClient;
use tickdeck_sim::lies::{ArmedLie, Lie, Lies, Server};
use tickdeck_sim::servers::{Draw, Feed, Next, PeerServer, SoupServer};
use tickdeck_sim::{History, HistoryBuilder, Random};
use tickdeck_wire::moldudp64::{Blocks, Session};

pub(crate) const SESSION: Session = Session(*b"DEMO01    ");
/// Messages of the session, and how many of them were sent.
pub(crate) const MESSAGES: u64 = 2_000;
pub(crate) const SENT: u64 = 1_800;
/// Steps after which a run does not end.
const PATIENCE: u32 = 200_000;

/// How a run goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Circumstances {
    pub(crate) seed: u64,
    /// Most bytes that come at a time.
    pub(crate) chunk: u64,
    /// How likely the connection breaks with each chunk.
    pub(crate) breaks: f64,
    pub(crate) lie: Option<Lie>,
    pub(crate) delay_ns: u64,
}

/// What came of a request.
#[derive(Debug)]
pub(crate) struct Transcript {
    /// Numbers and messages, in the order of delivery.
    pub(crate) messages: Vec<(u64, Vec<u8>)>,
    pub(crate) noticed: Vec<Fault>,
    /// The number behind the last one, or the fault and the first number that did not come.
    pub(crate) end: Result<u64, (Fault, u64)>,
    pub(crate) connections: u32,
    pub(crate) took_ns: u64,
}

pub(crate) trait Client {
    fn connected(&mut self, now_ns: u64);
    fn bytes(&mut self, bytes: &[u8], now_ns: u64);
    fn closed(&mut self, now_ns: u64);
    fn next(&mut self, now_ns: u64) -> Option<Action>;
    fn deadline_ns(&self) -> Option<u64>;
}

pub(crate) trait Connection {
    const SERVER: Server;
    fn bytes(&mut self, bytes: &[u8], now_ns: u64);
    fn poll(&mut self, feed: Feed<'_>, draw: Draw<'_>, now_ns: u64, out: &mut Vec<u8>) -> Next;
}

macro_rules! client {
    ($client:ty) => {
        impl Client for $client {
            fn connected(&mut self, now_ns: u64) {
                self.on_connected(now_ns);
            }
            fn bytes(&mut self, bytes: &[u8], now_ns: u64) {
                self.on_bytes(bytes, now_ns);
            }
            fn closed(&mut self, now_ns: u64) {
                self.on_closed(now_ns);
            }
            fn next(&mut self, now_ns: u64) -> Option<Action> {
                self.poll(now_ns)
            }
            fn deadline_ns(&self) -> Option<u64> {
                self.next_deadline_ns()
            }
        }
    };
}

client!(SoupClient);
client!(ReplayClient);

macro_rules! connection {
    ($connection:ty, $server:expr) => {
        impl Connection for $connection {
            const SERVER: Server = $server;
            fn bytes(&mut self, bytes: &[u8], now_ns: u64) {
                self.on_bytes(bytes, now_ns);
            }
            fn poll(
                &mut self,
                feed: Feed<'_>,
                draw: Draw<'_>,
                now_ns: u64,
                out: &mut Vec<u8>,
            ) -> Next {
                self.poll(feed, draw, now_ns, out)
            }
        }
    };
}

connection!(SoupServer, Server::Soup);
connection!(PeerServer, Server::Peer);

/// Messages of several lengths, each with its number in front.
pub(crate) fn history() -> History {
    let mut builder = HistoryBuilder::default();
    for sequence in 1..=MESSAGES {
        let mut message = sequence.to_be_bytes().to_vec();
        message.resize(8 + (sequence % 31) as usize, sequence as u8);
        builder.push(&message).unwrap();
    }
    builder.finish()
}

impl Circumstances {
    /// Nothing goes wrong.
    pub(crate) fn fair(seed: u64) -> Self {
        Self {
            seed,
            chunk: 1_500,
            breaks: 0.0,
            lie: None,
            delay_ns: 0,
        }
    }

    pub(crate) fn lies(self, server: Server) -> Lies {
        let mut lies = Lies::default();
        lies.replace(self.lie.into_iter().map(|lie| ArmedLie {
            id: 1,
            server,
            lie,
            probability: 1.0,
            delay_ns: self.delay_ns,
            seed: self.seed,
            expires_ns: u64::MAX,
        }));
        lies
    }
}

impl Transcript {
    /// Whether a fault was named, on the way or at the end.
    pub(crate) fn names(&self, fault: Fault) -> bool {
        self.noticed.contains(&fault) || matches!(self.end, Err((last, _)) if last == fault)
    }

    /// Asserts that what came is the history from `first` on: in order, none twice, none wrong,
    /// and that the end says how far it came.
    pub(crate) fn assert_true(&self, history: &History, first: u64) {
        let mut next = first;
        for (number, message) in &self.messages {
            assert_eq!(*number, next, "in order, without a hole");
            assert_eq!(Some(&message[..]), history.message(next), "message {next}");
            next += 1;
        }
        let (Ok(said) | Err((_, said))) = self.end;
        assert_eq!(said, next, "{:?}", self.end);
    }
}

/// Runs a request that was made already until it is over.
pub(crate) fn run<C: Client, S: Connection>(
    client: &mut C,
    accept: impl Fn(u64) -> S,
    history: &History,
    how: Circumstances,
) -> Transcript {
    let mut random = Random::new(how.seed);
    let mut lies = how.lies(S::SERVER);
    let feed = Feed {
        session: SESSION,
        history,
        next_sequence: SENT + 1,
    };
    let mut transcript = Transcript {
        messages: Vec::new(),
        noticed: Vec::new(),
        end: Ok(0),
        connections: 0,
        took_ns: 0,
    };
    let mut server: Option<S> = None;
    let mut pipe: Vec<u8> = Vec::new();
    let mut now_ns = 0;
    for _ in 0..PATIENCE {
        while let Some(action) = client.next(now_ns) {
            match action {
                Action::Connect => {
                    assert!(server.is_none(), "the old connection is closed first");
                    transcript.connections += 1;
                    server = Some(accept(now_ns));
                    client.connected(now_ns);
                }
                Action::Send(bytes) => {
                    let server = server.as_mut().expect("nothing is sent without one");
                    let (one, two) = bytes.split_at(random.below(bytes.len() as u64) as usize);
                    server.bytes(one, now_ns);
                    server.bytes(two, now_ns);
                }
                Action::Deliver(delivery) => transcript.take(&delivery),
                Action::Noticed { fault, .. } => transcript.noticed.push(fault),
                Action::Close => {
                    assert!(server.take().is_some(), "one close for each connection");
                    pipe.clear();
                }
                Action::Done { next_sequence } => {
                    transcript.end = Ok(next_sequence);
                    transcript.took_ns = now_ns;
                    return transcript;
                }
                Action::Failed {
                    fault,
                    next_sequence,
                    ..
                } => {
                    transcript.end = Err((fault, next_sequence));
                    transcript.took_ns = now_ns;
                    return transcript;
                }
            }
        }
        let deadline_ns = client.deadline_ns().expect("a request is under way");
        let Some(open) = server.as_mut() else {
            now_ns = now_ns.max(deadline_ns);
            continue;
        };
        let next = if pipe.is_empty() {
            open.poll(
                feed,
                &mut || lies.draw(S::SERVER, now_ns),
                now_ns,
                &mut pipe,
            )
        } else {
            Next::More
        };
        if random.chance(how.breaks) || (pipe.is_empty() && next == Next::Close) {
            server = None;
            pipe.clear();
            client.closed(now_ns);
        } else if pipe.is_empty() {
            let until_ns = match next {
                Next::Wait { until_ns } => until_ns,
                _ => now_ns,
            };
            now_ns = now_ns.max(deadline_ns.min(until_ns));
        } else {
            let length = (1 + random.below(how.chunk)).min(pipe.len() as u64) as usize;
            let chunk: Vec<u8> = pipe.drain(..length).collect();
            now_ns += 10_000;
            client.bytes(&chunk, now_ns);
        }
    }
    panic!("the request does not end: {transcript:?}");
}

impl Transcript {
    fn take(&mut self, delivery: &Delivery) {
        assert_eq!(delivery.session, SESSION);
        let Content::Blocks { count, blocks } = &delivery.content else {
            panic!("the session numbers messages");
        };
        let mut messages = Blocks::new(blocks);
        let before = self.messages.len();
        let numbered = (delivery.first_sequence..).zip(messages.by_ref());
        self.messages
            .extend(numbered.map(|(number, message)| (number, message.to_vec())));
        assert!(messages.rest().is_empty());
        assert_eq!(self.messages.len() - before, usize::from(*count));
    }
}
