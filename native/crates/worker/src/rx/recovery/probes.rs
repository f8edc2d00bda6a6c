//! Asks each source for something small on a schedule, so that a source that has died is known
//! before it is needed.
//!
//! A probe has a connection of its own and changes nothing: a re-request server, a peer and a
//! stream are asked for the newest message again, a GLIMPSE server for the first of a snapshot.

use tickdeck_net::clock::realtime_ns;
use tickdeck_recovery::RangeSource;
use tickdeck_recovery::client::Action;
use tickdeck_recovery::replay::{ReplayClient, ReplayConfig};
use tickdeck_recovery::soup::{SoupClient, SoupConfig, Wanted, any_message};
use tickdeck_wire::moldudp64::{Packet, Request, Session};
use tickdeck_wire::replay;

use super::readiness::{Readiness, SourceName};
use super::tcp::{Client, TcpSource};

/// Where a source of probes over TCP listens, and who it is.
pub(super) struct Target {
    pub(super) source: SourceName,
    pub(super) address: std::net::SocketAddrV4,
}

/// The schedule and what is under way.
pub(super) struct Probes {
    interval_ns: u64,
    due_ns: u64,
    timeout_ns: u64,
    connect_timeout_ns: u64,
    soup: SoupConfig,
    replay: ReplayConfig,
    targets: Vec<Target>,
    request: Option<UdpProbe>,
    /// One that was not answered in time.
    late: Option<UdpProbe>,
    running: Vec<Running>,
}

/// A datagram that is waited for.
struct UdpProbe {
    session: Session,
    sequence: u64,
    sent_ns: u64,
}

struct Running {
    source: SourceName,
    begun_ns: u64,
    client: Prober,
}

enum Prober {
    Soup(TcpSource<SoupClient>),
    Replay(TcpSource<ReplayClient>),
}

impl Probes {
    pub(super) fn new(
        interval_ns: u64,
        timeout_ns: u64,
        connect_timeout_ns: u64,
        mut soup: SoupConfig,
        mut replay: ReplayConfig,
        targets: Vec<Target>,
    ) -> Self {
        soup.timing.reconnects = 0;
        replay.timing.reconnects = 0;
        Self {
            interval_ns,
            due_ns: 0,
            timeout_ns,
            connect_timeout_ns,
            soup,
            replay,
            targets,
            request: None,
            late: None,
            running: Vec::new(),
        }
    }

    /// Whether a round of probes is due; there is none before the session is known.
    pub(super) fn is_due(&self, now_ns: u64) -> bool {
        self.interval_ns > 0 && now_ns >= self.due_ns && self.running.is_empty()
    }

    /// Begins a round: `next` is the number that the output wants. Sources that are in use need no
    /// probe. Returns the request for a re-request server.
    pub(super) fn begin(
        &mut self,
        session: Session,
        next: u64,
        now_ns: u64,
        is_in_use: impl Fn(SourceName) -> bool,
    ) -> Option<Request> {
        self.due_ns = now_ns.saturating_add(self.interval_ns);
        let newest = next.saturating_sub(1).max(1);
        // Before the first message there is none to ask for.
        let is_probed = |source| !is_in_use(source) && (next > 1 || source == SourceName::Snapshot);
        for target in self.targets.iter().filter(|it| is_probed(it.source)) {
            let client = match target.source {
                SourceName::Request => continue,
                SourceName::Peer => {
                    Prober::Replay(self.replay_probe(target, session, newest, now_ns))
                }
                SourceName::Stream => {
                    Prober::Soup(self.soup_probe(target, session, newest, now_ns))
                }
                SourceName::Snapshot => Prober::Soup(self.soup_probe(target, session, 1, now_ns)),
            };
            self.running.push(Running {
                source: target.source,
                begun_ns: now_ns,
                client,
            });
        }
        let asks = self
            .targets
            .iter()
            .any(|it| it.source == SourceName::Request)
            && is_probed(SourceName::Request);
        asks.then(|| {
            self.request = Some(UdpProbe {
                session,
                sequence: newest,
                sent_ns: now_ns,
            });
            Request {
                session,
                first_sequence: newest,
                count: 1,
            }
        })
    }

    /// Whether a datagram of the re-request server answers its probe; then nobody else wants it.
    pub(super) fn takes(
        &mut self,
        packet: &Packet<'_>,
        now_ns: u64,
        readiness: &mut Readiness,
    ) -> bool {
        let answers = |probe: &UdpProbe| {
            probe.session == packet.session() && probe.sequence == packet.first_sequence()
        };
        let Some(probe) = self.request.take_if(|probe| answers(probe)) else {
            // One that comes too late answers nothing else either.
            return self.late.take_if(|probe| answers(probe)).is_some();
        };
        let rtt_ns = now_ns.saturating_sub(probe.sent_ns);
        readiness.ready(SourceName::Request, rtt_ns, realtime_ns());
        true
    }

    /// Carries the probes on and notes what they found. `ready` hears of each range source that
    /// answered. Returns whether anything happened.
    pub(super) fn serve(
        &mut self,
        now_ns: u64,
        readiness: &mut Readiness,
        mut ready: impl FnMut(RangeSource),
    ) -> bool {
        if let Some(probe) = &self.request
            && now_ns.saturating_sub(probe.sent_ns) >= self.timeout_ns
        {
            self.late = self.request.take();
            let text = format!("no answer within {} ms", self.timeout_ns / 1_000_000);
            readiness.failed(SourceName::Request, text, realtime_ns());
        }
        let mut happened = false;
        self.running.retain_mut(|running| {
            let mut end = None;
            happened |= match &mut running.client {
                Prober::Soup(tcp) => serve_one(tcp, now_ns, &mut end),
                Prober::Replay(tcp) => serve_one(tcp, now_ns, &mut end),
            };
            let (source, rtt_ns) = (running.source, now_ns.saturating_sub(running.begun_ns));
            match end {
                None => return true,
                Some(Ok(())) => {
                    readiness.ready(source, rtt_ns, realtime_ns());
                    match source {
                        SourceName::Stream => ready(RangeSource::Stream),
                        SourceName::Peer => ready(RangeSource::Peer),
                        SourceName::Request | SourceName::Snapshot => {}
                    }
                }
                Some(Err(text)) => readiness.failed(source, text, realtime_ns()),
            }
            false
        });
        happened
    }

    pub(super) fn next_deadline_ns(&self) -> Option<u64> {
        let running = self.running.iter().filter_map(|it| match &it.client {
            Prober::Soup(tcp) => tcp.next_deadline_ns(),
            Prober::Replay(tcp) => tcp.next_deadline_ns(),
        });
        let request = self.request.as_ref();
        let request = request.map(|probe| probe.sent_ns.saturating_add(self.timeout_ns));
        running.chain(request).min()
    }

    /// Whether a probe has to be looked at soon: probes are not waited for by descriptor.
    pub(super) fn is_pending(&self) -> bool {
        !self.running.is_empty()
    }

    fn soup_probe(
        &self,
        target: &Target,
        session: Session,
        first_sequence: u64,
        now_ns: u64,
    ) -> TcpSource<SoupClient> {
        let mut config = self.soup.clone();
        if target.source == SourceName::Snapshot {
            // The end of a snapshot is no message of the stream; of an empty one it is all there is.
            config.check = any_message;
        }
        let mut client = SoupClient::new(config);
        let wanted = Wanted {
            session: Some(session),
            first_sequence,
            count: Some(1),
        };
        client.ask(wanted, now_ns);
        TcpSource::new(client, target.address, self.connect_timeout_ns)
    }

    fn replay_probe(
        &self,
        target: &Target,
        session: Session,
        first_sequence: u64,
        now_ns: u64,
    ) -> TcpSource<ReplayClient> {
        let mut client = ReplayClient::new(self.replay.clone());
        let range = replay::Request {
            session,
            first_sequence,
            count: 1,
        };
        client.ask(range, now_ns);
        TcpSource::new(client, target.address, self.connect_timeout_ns)
    }
}

/// Carries one probe on; its end is what was found.
fn serve_one<C: Client<Action = Action>>(
    tcp: &mut TcpSource<C>,
    now_ns: u64,
    end: &mut Option<Result<(), String>>,
) -> bool {
    tcp.serve(now_ns, |action| {
        match action {
            Action::Done { .. } => *end = Some(Ok(())),
            Action::Failed { fault, detail, .. } => {
                *end = Some(Err(format!("{}: {detail}", fault.name())));
            }
            _ => {}
        }
        true
    })
}
