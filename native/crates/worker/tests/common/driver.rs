//! A blocking driver of the clients of TCP sources, for tests with real sockets.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use tickdeck_recovery::Fault;
use tickdeck_recovery::client::{Action, Content, Delivery};
use tickdeck_recovery::replay::ReplayClient;
use tickdeck_recovery::soup::SoupClient;
use tickdeck_wire::moldudp64::Blocks;

const PATIENCE: Duration = Duration::from_secs(120);

/// What came of a request.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) deliveries: Vec<Delivery>,
    pub(crate) noticed: Vec<Fault>,
    pub(crate) end: Result<u64, Fault>,
}

/// A client with a socket.
pub(crate) trait Client {
    fn connected(&mut self, now_ns: u64);
    fn bytes(&mut self, bytes: &[u8], now_ns: u64);
    fn closed(&mut self, now_ns: u64);
    fn next(&mut self, now_ns: u64) -> Option<Action>;
    fn deadline_ns(&self) -> Option<u64>;
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

impl Outcome {
    /// The messages, which follow each other from `first` on.
    pub(crate) fn messages(&self, first: u64) -> Vec<Vec<u8>> {
        let mut messages = Vec::new();
        for delivery in &self.deliveries {
            assert_eq!(delivery.first_sequence, first + messages.len() as u64);
            match &delivery.content {
                Content::Blocks { blocks, .. } => {
                    messages.extend(Blocks::new(blocks).map(<[u8]>::to_vec));
                }
                Content::Packet(packet) => messages.push(packet.clone()),
            }
        }
        messages
    }
}

/// Drives a client, which was asked at time 0 = `started`, until its request is over.
pub(crate) fn drive(client: &mut impl Client, server: SocketAddr, started: Instant) -> Outcome {
    let now_ns = || u64::try_from(started.elapsed().as_nanos()).expect("not so long");
    let mut outcome = Outcome {
        deliveries: Vec::new(),
        noticed: Vec::new(),
        end: Ok(0),
    };
    let mut socket: Option<TcpStream> = None;
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        while let Some(action) = client.next(now_ns()) {
            match action {
                Action::Connect => match TcpStream::connect_timeout(&server, PATIENCE) {
                    Ok(open) => {
                        socket = Some(open);
                        client.connected(now_ns());
                    }
                    Err(_) => client.closed(now_ns()),
                },
                Action::Send(bytes) => {
                    let open = socket.as_mut().expect("connected");
                    // What was sent to a closed connection shows when it is read.
                    drop(open.write_all(&bytes));
                }
                Action::Deliver(delivery) => outcome.deliveries.push(delivery),
                Action::Noticed { fault, .. } => outcome.noticed.push(fault),
                Action::Close => socket = None,
                Action::Done { next_sequence } => {
                    outcome.end = Ok(next_sequence);
                    return outcome;
                }
                Action::Failed { fault, .. } => {
                    outcome.end = Err(fault);
                    return outcome;
                }
            }
        }
        let until_ns = client.deadline_ns().expect("a request is under way");
        let wait_ns = until_ns
            .saturating_sub(now_ns())
            .clamp(1_000_000, 1_000_000_000);
        if !read(
            socket.as_mut(),
            Duration::from_nanos(wait_ns),
            |bytes| match bytes {
                Some(bytes) => client.bytes(bytes, now_ns()),
                None => client.closed(now_ns()),
            },
        ) {
            socket = None;
        }
    }
    panic!("the request does not end: {outcome:?}");
}

/// Waits for bytes or the end of the connection, which is `None`; false at the end.
pub(crate) fn read(
    socket: Option<&mut TcpStream>,
    wait: Duration,
    take: impl FnOnce(Option<&[u8]>),
) -> bool {
    let Some(socket) = socket else {
        std::thread::park_timeout(wait);
        return true;
    };
    socket.set_read_timeout(Some(wait)).expect("a timeout");
    let mut chunk = [0; 16 * 1024];
    match socket.read(&mut chunk) {
        Ok(length @ 1..) => take(Some(&chunk[..length])),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
        Ok(0) | Err(_) => {
            take(None);
            return false;
        }
    }
    true
}
