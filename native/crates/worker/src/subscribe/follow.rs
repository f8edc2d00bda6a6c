//! Connection after connection: what a session says, into the copy, into the position, and back.

use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tickdeck_export::backoff::Backoff;
use tickdeck_export::message::Gap;
use tickdeck_export::subscriber::{BlockHead, End, Event, Position, Session};
use tickdeck_net::clock::monotonic_ns;

use super::args::Plan;
use super::copy::Copy;
use super::lines::{Lines, Next};
use super::link::{Source, open_session};
use super::position::PositionFile;
use super::wire::{read, write};
use crate::exit::{Code, Failure};
use crate::export::channel::Channel;
use crate::export::dial::Socket;
use crate::export::keys::random_bytes;
use crate::export::tls::ExpiryWatch;
use crate::lifecycle::StopFlag;

/// Longest sleep before a look for a stop.
const STOP_POLL: Duration = Duration::from_millis(50);
/// Time between two reads of keys and certificates for those who dial us.
const CALM_NS: u64 = 1_000_000_000;
/// Bytes read before what they say is dealt with.
const CHUNK_BYTES: usize = 256 * 1024;

/// A subscriber and its copy.
#[derive(Debug)]
pub(super) struct Follower {
    plan: Plan,
    stop: StopFlag,
    source: Source,
    file: PositionFile,
    position: Option<Position>,
    sink: Sink,
    backoff: Backoff,
    expiry: ExpiryWatch,
    /// Strangers that call make us read files, and complain, only so often.
    reload_ns: u64,
    complain_ns: u64,
}

/// Where records go.
#[derive(Debug)]
enum Sink {
    Lines(Lines),
    Copy(Copy),
}

/// How a connection was left.
enum Left {
    /// Everything is done.
    Finished(Code),
    /// Try again; it had come as far as data.
    Later { had_data: bool },
}

impl Follower {
    pub(super) fn open(plan: Plan, stop: StopFlag) -> Result<Self, Failure> {
        let file = PositionFile::at(&plan.state);
        let position = file.load()?;
        let sink = match &plan.into {
            Some(dir) => {
                let acked_seq = position.map_or(0, |position| position.acked_seq);
                Sink::Copy(Copy::open(dir, acked_seq)?)
            }
            None => Sink::Lines(Lines::new(plan.json, plan.count)),
        };
        let source = Source::open(&plan.side)?;
        if let Some(address) = source.address() {
            tracing::info!(%address, "waiting for an exporter");
        }
        let seed =
            random_bytes().map_err(|error| Failure::failed(format!("randomness: {error}")))?;
        let backoff = Backoff::new(plan.reconnect_backoff_ms, u64::from_le_bytes(seed));
        Ok(Self {
            plan,
            stop,
            source,
            file,
            position,
            sink,
            backoff,
            expiry: ExpiryWatch::default(),
            reload_ns: 0,
            complain_ns: 0,
        })
    }

    pub(super) fn run(mut self) -> Result<Code, Failure> {
        if self.plan.count == Some(0) {
            return Ok(Code::Clean);
        }
        while !self.stop.is_set() {
            let Some((channel, session)) = self.next_session()? else {
                continue;
            };
            match self.follow(channel, session)? {
                Left::Finished(code) => return Ok(code),
                Left::Later { had_data } => {
                    if had_data {
                        self.backoff.reset();
                    }
                    self.wait();
                }
            }
        }
        Ok(Code::Clean)
    }

    /// A connection whose transport stands, dialled, or one that was waited for and is proved; `None`
    /// when there is none yet, or a try failed.
    fn next_session(&mut self) -> Result<Option<(Channel, Session)>, Failure> {
        match &self.source {
            Source::Dialling { .. } => {
                let Some(mut channel) = self.dial() else {
                    return Ok(None);
                };
                let session = self.begin(&mut channel)?;
                if session.is_none() {
                    self.wait();
                }
                Ok(session.map(|session| (channel, session)))
            }
            Source::Listening(door) => {
                if door.wait(STOP_POLL)? {
                    let now_ns = monotonic_ns();
                    if now_ns >= self.reload_ns {
                        self.reload_ns = now_ns + CALM_NS;
                        self.reload();
                    }
                    self.welcome();
                }
                let Source::Listening(door) = &mut self.source else {
                    return Ok(None);
                };
                door.turn(&self.plan, self.position)
            }
        }
    }

    /// Takes those who call at the door.
    fn welcome(&mut self) {
        if let Source::Listening(door) = &mut self.source
            && let Err(error) = door.accept(&self.plan)
        {
            let now_ns = monotonic_ns();
            if now_ns >= self.complain_ns {
                self.complain_ns = now_ns + CALM_NS;
                tracing::warn!(%error, "no connection");
            }
            // Such as out of descriptors: those inside give theirs back in time.
            std::thread::sleep(STOP_POLL);
        }
    }

    /// A connection that we dialled; `None` when there is none yet, or a try failed.
    fn dial(&mut self) -> Option<Channel> {
        let timeout = Duration::from_millis(self.plan.connect_timeout_ms);
        let socket = match self.source.poll(timeout) {
            Ok(Some(socket)) => socket,
            Ok(None) => {
                std::thread::sleep(Duration::from_millis(5));
                return None;
            }
            Err(error) => {
                tracing::warn!(%error, "no connection");
                self.wait();
                return None;
            }
        };
        self.reload();
        let peer = match &socket {
            Socket::Tcp(socket) => socket.peer_addr().map(|peer| peer.to_string()),
            Socket::Unix(_) => Ok("unix".to_owned()),
        };
        match self.plan.tls.over(socket) {
            Ok(channel) => {
                tracing::info!(peer = peer.unwrap_or_default(), "connected");
                Some(channel)
            }
            Err(error) => {
                tracing::warn!(%error, "no session");
                self.wait();
                None
            }
        }
    }

    /// Each connection is begun with what the files say now, or said a second ago where we are dialled;
    /// a file that cannot be used changes nothing.
    fn reload(&mut self) {
        if let Some(keys) = &self.plan.keys
            && let Err(error) = keys.reload()
        {
            tracing::warn!(%error, "keys not read again, the old ones stay");
        }
        if let Err(error) = self.plan.tls.reload() {
            tracing::warn!(%error, "certificates not read again, the old ones stay");
        }
        let expires_s = self.plan.tls.expires_s();
        if let Some(warning) = expires_s.and_then(|left| self.expiry.look(left)) {
            tracing::warn!(expires_s, "our certificate {warning}");
        }
    }

    fn follow(&mut self, mut channel: Channel, mut session: Session) -> Result<Left, Failure> {
        let mut chunk = vec![0; CHUNK_BYTES];
        let mut had_data = false;
        loop {
            if self.stop.is_set() {
                self.finish(&mut session, &mut channel, None)?;
                return Ok(Left::Finished(Code::Clean));
            }
            let is_open = read(&mut channel, &mut session, &mut chunk);
            session.on_time(monotonic_ns());
            while let Some(event) = session.next_event() {
                had_data |= matches!(event, Event::Subscribed(_));
                if let Some(left) = self.on_event(event, &mut session, &mut channel, had_data)? {
                    return Ok(left);
                }
            }
            if let Err(error) = is_open.and_then(|_| write(&mut channel, session.output())) {
                tracing::warn!(%error, "connection lost");
                return self.keep(&session, had_data);
            }
            sleep(&channel, &session)?;
        }
    }

    /// Takes the transport through its handshake. `None` when it did not come about.
    fn begin(&self, channel: &mut Channel) -> Result<Option<Session>, Failure> {
        let begun_ns = monotonic_ns();
        let deadline_ns = begun_ns + self.plan.connect_timeout_ms * 1_000_000;
        let transport = loop {
            match channel.handshake() {
                Ok(Some(transport)) => break transport,
                Ok(None) if self.stop.is_set() || monotonic_ns() >= deadline_ns => {
                    tracing::warn!("no TLS session within {} ms", self.plan.connect_timeout_ms);
                    return Ok(None);
                }
                Ok(None) => wait_for(channel, channel.interest(false), STOP_POLL)?,
                Err(error) => {
                    tracing::warn!(%error, "no TLS session");
                    return Ok(None);
                }
            }
        };
        open_session(&self.plan, self.position, &transport, begun_ns).map(Some)
    }

    fn on_event(
        &mut self,
        event: Event,
        session: &mut Session,
        channel: &mut Channel,
        had_data: bool,
    ) -> Result<Option<Left>, Failure> {
        match event {
            Event::Subscribed(ok) => {
                let (start_seq, epoch) = (ok.start_seq, ok.epoch);
                tracing::info!(start_seq, epoch, durable_seq = ok.durable_seq, "subscribed");
            }
            Event::Heartbeat(_) => {}
            Event::Block { from_seq, block } => {
                let next = self.on_block(from_seq, &block)?;
                return self.enough(next, session, channel);
            }
            Event::Gap { from, to, reason } => {
                tracing::warn!(
                    from,
                    to,
                    reason = reason.name(),
                    "sequences that do not come"
                );
                let next = self.on_gap(Gap { from, to, reason })?;
                return self.enough(next, session, channel);
            }
            Event::Store(position) => {
                if self.store(position)? == Next::Gone {
                    return Ok(Some(Left::Finished(Code::Clean)));
                }
                session.stored(position);
            }
            Event::Ended(end) => return self.on_end(end, channel, session, had_data).map(Some),
        }
        Ok(None)
    }

    fn on_block(&mut self, from_seq: u64, block: &[u8]) -> Result<Next, Failure> {
        match &mut self.sink {
            Sink::Lines(lines) => lines.block(from_seq, block),
            Sink::Copy(copy) => {
                let head = BlockHead::parse(block).map_err(Failure::failed)?;
                copy.push_block(from_seq, block, head.base_seq);
                Ok(Next::More)
            }
        }
    }

    fn on_gap(&mut self, gap: Gap) -> Result<Next, Failure> {
        match &mut self.sink {
            Sink::Lines(lines) => lines.gap(gap.from, gap.to, gap.reason),
            Sink::Copy(copy) => {
                copy.push_gap(gap);
                Ok(Next::More)
            }
        }
    }

    /// Stores what came before a connection ended: it is whole as far as it came, and the next
    /// session begins behind it.
    fn keep(&mut self, session: &Session, had_data: bool) -> Result<Left, Failure> {
        match session.reached() {
            Some(position) => self.store_then(position, had_data),
            None => Ok(Left::Later { had_data }),
        }
    }

    /// Stores and tries again, as long as somebody reads.
    fn store_then(&mut self, position: Position, had_data: bool) -> Result<Left, Failure> {
        Ok(match self.store(position)? {
            Next::Gone => Left::Finished(Code::Clean),
            Next::More | Next::Enough(_) => Left::Later { had_data },
        })
    }

    /// The copy first, then the position. [`Next::Gone`] when nobody has it: then it is not stored,
    /// and must not be acknowledged.
    fn store(&mut self, position: Position) -> Result<Next, Failure> {
        match &mut self.sink {
            Sink::Copy(copy) => copy.sync()?,
            Sink::Lines(lines) => {
                if lines.flush()? == Next::Gone {
                    return Ok(Next::Gone);
                }
            }
        }
        self.file.store(&position)?;
        self.position = Some(position);
        Ok(Next::More)
    }

    fn enough(
        &mut self,
        next: Next,
        session: &mut Session,
        channel: &mut Channel,
    ) -> Result<Option<Left>, Failure> {
        match next {
            Next::More => Ok(None),
            Next::Enough(seq) => {
                self.finish(session, channel, Some(seq))?;
                Ok(Some(Left::Finished(Code::Clean)))
            }
            Next::Gone => Ok(Some(Left::Finished(Code::Clean))),
        }
    }

    /// Stores and acknowledges what was given on, up to `last` if that is less, and says goodbye.
    fn finish(
        &mut self,
        session: &mut Session,
        channel: &mut Channel,
        last: Option<u64>,
    ) -> Result<(), Failure> {
        if let Some(mut position) = session.reached() {
            position.acked_seq = last.unwrap_or(position.acked_seq);
            if self.store(position)? != Next::Gone {
                session.stored(position);
            }
        }
        session.stop();
        self.part(session, channel);
        Ok(())
    }

    /// Sends what is left to send, as far as the peer takes it at once, and closes.
    fn part(&self, session: &mut Session, channel: &mut Channel) {
        let sent = write(channel, session.output()).and_then(|()| channel.close_write());
        if let Err(error) = sent {
            tracing::debug!(%error, "the peer was not told that we leave");
        }
    }

    fn on_end(
        &mut self,
        end: End,
        channel: &mut Channel,
        session: &mut Session,
        had_data: bool,
    ) -> Result<Left, Failure> {
        self.part(session, channel);
        match end {
            End::Forked { at, position } => {
                tracing::error!(
                    at,
                    "FORKED: the log does not have what we have; cutting our copy"
                );
                let next = match &mut self.sink {
                    Sink::Copy(copy) => copy.cut_from(at).map(|()| Next::More)?,
                    Sink::Lines(lines) => lines.forked(at)?,
                };
                if next == Next::Gone {
                    return Ok(Left::Finished(Code::Clean));
                }
                self.store_then(position, had_data)
            }
            End::Pruned { from, position } => {
                let to = position.acked_seq;
                tracing::error!(from, to, "PRUNED: these sequences are no longer kept there");
                let reason = tickdeck_export::message::GapReason::Pruned;
                if self.on_gap(Gap { from, to, reason })? == Next::Gone {
                    return Ok(Left::Finished(Code::Clean));
                }
                self.store_then(position, had_data)
            }
            End::WrongLog { log_id } => {
                let log_id = format!("{:032x}", u128::from_be_bytes(log_id));
                let text = format!(
                    "the exporter serves log {log_id}, our position in {} is of another one: name \
                     another --state (and --into) for it",
                    self.plan.state.display()
                );
                Err(Failure::new(Code::Config, text))
            }
            // Who waits waits for the right one: anybody may dial.
            End::Denied(text) if self.source.dials() => {
                let text = format!("denied: {text}");
                Err(Failure::new(Code::Permission, text))
            }
            other => {
                tracing::warn!(end = ?other, "session over");
                self.keep(session, had_data)
            }
        }
    }

    /// Waits before the next try, when we are the one to try.
    fn wait(&mut self) {
        if !self.source.dials() {
            return;
        }
        let delay_ms = self.backoff.next_ms();
        tracing::info!(delay_ms, "next try");
        let until_ns = monotonic_ns() + delay_ms * 1_000_000;
        while !self.stop.is_set() && monotonic_ns() < until_ns {
            let left = Duration::from_nanos(until_ns.saturating_sub(monotonic_ns()));
            std::thread::sleep(left.min(STOP_POLL));
        }
    }
}

/// Sleeps until the peer has something, or time has.
fn sleep(channel: &Channel, session: &Session) -> Result<(), Failure> {
    let has_output = session.has_output();
    let left = Duration::from_nanos(session.wake_ns().saturating_sub(monotonic_ns()));
    wait_for(channel, channel.interest(has_output), left.min(STOP_POLL))
}

fn wait_for(channel: &Channel, interest: PollFlags, timeout: Duration) -> Result<(), Failure> {
    if channel.has_pending() {
        return Ok(());
    }
    let timeout = Timespec {
        tv_sec: timeout.as_secs().cast_signed(),
        tv_nsec: timeout.subsec_nanos().into(),
    };
    match poll(&mut [PollFd::new(channel, interest)], Some(&timeout)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(Failure::failed(format!("wait for the exporter: {error}"))),
    }
}
