//! The TCP servers' threads: SoupBinTCP stream, GLIMPSE snapshots, `len_seq_payload`.

use std::fs::File;
use std::io::Read as _;
use std::net::{SocketAddr, SocketAddrV4};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tickdeck_net::clock::monotonic_ns;
use tickdeck_sim::History;
use tickdeck_sim::lies::Server;
use tickdeck_sim::servers::{self, Credentials, Feed, PeerServer, Service, SoupServer};
use tickdeck_wire::moldudp64::Session;
use tickdeck_wire::replay::{Frame, Refusal};
use tickdeck_wire::soupbintcp::{RejectReason, rejected};

use super::args::PlayArgs;
use super::player::Published;
use crate::exit::{Code, Failure};
use crate::lifecycle::StopFlag;
use crate::tcp::{Conversation, Next, TcpServer};

/// How long a message that was just sent on the lines may wait for the streams.
const TICK: Duration = Duration::from_millis(2);
/// More than any password file needs.
const PASSWORD_FILE_BYTES: u64 = 1_024;

/// A running server.
pub(super) struct ServerThread {
    address: SocketAddr,
    thread: JoinHandle<Result<(), Failure>>,
}

/// The servers that were asked for.
#[derive(Default)]
pub(super) struct ServerThreads {
    soup: Option<ServerThread>,
    glimpse: Option<ServerThread>,
    peer: Option<ServerThread>,
}

/// What all connections look at.
struct Shared {
    session: Session,
    history: Arc<History>,
    published: Arc<Published>,
}

struct SoupConversation {
    server: SoupServer,
    kind: Server,
    shared: Arc<Shared>,
}

struct PeerConversation {
    server: PeerServer,
    shared: Arc<Shared>,
}

impl ServerThreads {
    /// Binds the addresses and serves until `stop`, which a server sets itself when it fails.
    pub(super) fn start(
        args: &PlayArgs,
        history: &Arc<History>,
        published: &Arc<Published>,
        stop: &StopFlag,
    ) -> Result<Self, Failure> {
        let credentials = credentials(args)?;
        let shared = Arc::new(Shared {
            session: args.session,
            history: Arc::clone(history),
            published: Arc::clone(published),
        });
        let soup = |address, kind, service| {
            let (what, shared) = (kind, Arc::clone(&shared));
            let turned_away = rejected(RejectReason::SessionNotAvailable).to_vec();
            ServerThread::start(what, address, turned_away, stop, move |now_ns| {
                SoupConversation {
                    server: SoupServer::new(service, credentials, now_ns),
                    kind,
                    shared: Arc::clone(&shared),
                }
            })
        };
        let peer = |address| {
            let shared = Arc::clone(&shared);
            let mut busy = Vec::new();
            Frame::Refused {
                first_sequence: 1,
                reason: Refusal::Busy,
            }
            .encode(&mut busy);
            ServerThread::start(Server::Peer, address, busy, stop, move |now_ns| {
                PeerConversation {
                    server: PeerServer::new(now_ns),
                    shared: Arc::clone(&shared),
                }
            })
        };
        let stream = |address| soup(address, Server::Soup, Service::Stream);
        let glimpse = |address| soup(address, Server::Glimpse, Service::Glimpse);
        Ok(Self {
            soup: args.soup_listen.map(stream).transpose()?,
            glimpse: args.glimpse_listen.map(glimpse).transpose()?,
            peer: args.peer_listen.map(peer).transpose()?,
        })
    }

    /// Where stream, snapshots and ranges are served.
    pub(super) fn addresses(&self) -> [Option<SocketAddr>; 3] {
        [&self.soup, &self.glimpse, &self.peer]
            .map(|server| server.as_ref().map(|server| server.address))
    }

    /// Waits for their end and gives the first failure, if any.
    pub(super) fn join(self) -> Result<(), Failure> {
        let servers = [self.soup, self.glimpse, self.peer].into_iter().flatten();
        let ends: Vec<_> = servers.map(ServerThread::join).collect();
        ends.into_iter().collect()
    }
}

impl ServerThread {
    fn start<C: Conversation + 'static>(
        kind: Server,
        address: SocketAddrV4,
        turned_away: Vec<u8>,
        stop: &StopFlag,
        accept: impl FnMut(u64) -> C + Send + 'static,
    ) -> Result<Self, Failure> {
        let server = TcpServer::bind(kind.name(), address.into(), turned_away, accept)?;
        let address = server.address();
        let stop = stop.clone();
        let thread = thread::Builder::new()
            .name(kind.name().to_owned())
            .spawn(move || {
                let result = server.run(TICK, &stop);
                stop.set();
                result
            })
            .map_err(|error| {
                Failure::failed(format!("start the {} thread: {error}", kind.name()))
            })?;
        Ok(Self { address, thread })
    }

    fn join(self) -> Result<(), Failure> {
        let panicked = |_| Err(Failure::failed("the thread of a TCP server panicked"));
        self.thread.join().unwrap_or_else(panicked)
    }
}

impl Shared {
    fn feed(&self) -> Feed<'_> {
        Feed {
            session: self.session,
            history: &self.history,
            next_sequence: self.published.next_sequence.load(Ordering::Acquire),
        }
    }
}

impl Conversation for SoupConversation {
    fn on_bytes(&mut self, bytes: &[u8], now_ns: u64) {
        self.server.on_bytes(bytes, now_ns);
    }

    fn poll(&mut self, now_ns: u64, out: &mut Vec<u8>) -> Next {
        let mut draw = || self.shared.published.draw(self.kind, monotonic_ns());
        let next = self.server.poll(self.shared.feed(), &mut draw, now_ns, out);
        next.into()
    }
}

impl Conversation for PeerConversation {
    fn on_bytes(&mut self, bytes: &[u8], now_ns: u64) {
        self.server.on_bytes(bytes, now_ns);
    }

    fn poll(&mut self, now_ns: u64, out: &mut Vec<u8>) -> Next {
        let mut draw = || self.shared.published.draw(Server::Peer, monotonic_ns());
        let next = self.server.poll(self.shared.feed(), &mut draw, now_ns, out);
        next.into()
    }
}

impl From<servers::Next> for Next {
    fn from(next: servers::Next) -> Self {
        match next {
            servers::Next::More => Self::More,
            servers::Next::Wait { until_ns } => Self::Wait { until_ns },
            servers::Next::Close => Self::Close,
        }
    }
}

/// Who may log in; `None` lets anybody.
fn credentials(args: &PlayArgs) -> Result<Option<Credentials>, Failure> {
    let (Some(username), Some(path)) = (args.username, &args.password_file) else {
        return Ok(None);
    };
    let bad = |text: String| {
        let text = format!("password file {}: {text}", path.display());
        Failure::new(Code::Config, text)
    };
    let secret = read_secret(path).map_err(bad)?;
    let password = secret.trim_end().parse();
    Ok(Some(Credentials {
        username,
        password: password.map_err(|error| bad(format!("{error}")))?,
    }))
}

fn read_secret(path: &Path) -> Result<String, String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    let mode = file.metadata().map_err(|error| error.to_string())?.mode();
    if mode & 0o007 != 0 {
        return Err(format!(
            "everybody may read or change it (mode {:03o}); chmod o-rwx it",
            mode & 0o777
        ));
    }
    let mut secret = String::new();
    file.take(PASSWORD_FILE_BYTES)
        .read_to_string(&mut secret)
        .map_err(|error| error.to_string())?;
    Ok(secret)
}
