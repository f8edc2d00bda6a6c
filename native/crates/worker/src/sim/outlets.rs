//! The two lines: packets out of the history onto multicast sockets.

use std::sync::Arc;

use tickdeck_net::{MulticastSender, NetError, find_interface};
use tickdeck_sim::faults::LINE_COUNT;
use tickdeck_sim::{History, Planned, write_packet};
use tickdeck_wire::moldudp64::Session;

use super::args::PlayArgs;
use crate::exit::{Code, Failure, chain};

/// Sends planned packets. The bytes are made once for both lines.
pub(super) struct Outlets {
    history: Arc<History>,
    session: Session,
    senders: [Option<MulticastSender>; LINE_COUNT],
    bytes: Vec<u8>,
    /// The packet whose bytes are in `bytes`.
    written: Option<Planned>,
    sent: [u64; LINE_COUNT],
    failure: Option<(u8, NetError)>,
}

impl Outlets {
    /// Opens the sockets of the lines that were asked for.
    pub(super) fn open(args: &PlayArgs, history: Arc<History>) -> Result<Self, Failure> {
        let unavailable = |error: NetError| Failure::new(Code::Unavailable, chain(&error));
        let interface = find_interface(&args.interface).map_err(unavailable)?;
        let mut senders = [const { None }; LINE_COUNT];
        for line in &args.lines {
            let (group, port) = ((*line.target.ip()).into(), line.target.port());
            let sender = MulticastSender::open(group, port, &interface, args.ttl)
                .map_err(|error| Failure::new(Code::Config, chain(&error)))?;
            if senders[usize::from(line.code)].replace(sender).is_some() {
                return Err(Failure::new(
                    Code::Config,
                    "a line is named twice; wanted A, B or both",
                ));
            }
        }
        Ok(Self {
            history,
            session: args.session,
            senders,
            bytes: Vec::with_capacity(usize::from(args.max_payload)),
            written: None,
            sent: [0; LINE_COUNT],
            failure: None,
        })
    }

    /// Codes of the lines that are sent on.
    pub(super) fn lines(&self) -> impl Iterator<Item = u8> + use<> {
        let open = self.senders.each_ref().map(Option::is_some);
        (0..LINE_COUNT as u8).filter(move |line| open[usize::from(*line)])
    }

    /// The messages that packets are made of.
    pub(super) fn history(&self) -> &History {
        &self.history
    }

    /// Sends one packet. A failure is kept for [`Outlets::take_failure`]; nothing more is sent.
    pub(super) fn send(&mut self, line: u8, packet: Planned) {
        let Some(sender) = &self.senders[usize::from(line)] else {
            return;
        };
        if self.failure.is_some() {
            return;
        }
        if self.written != Some(packet) {
            write_packet(&self.history, self.session, packet, &mut self.bytes);
            self.written = Some(packet);
        }
        match sender.send(&self.bytes) {
            Ok(()) => self.sent[usize::from(line)] += 1,
            Err(error) => self.failure = Some((line, error)),
        }
    }

    /// Datagrams sent on each line.
    pub(super) fn sent(&self) -> [u64; LINE_COUNT] {
        self.sent
    }

    /// The first failure to send, if any.
    pub(super) fn take_failure(&mut self) -> Result<(), Failure> {
        match self.failure.take() {
            None => Ok(()),
            Some((line, error)) => {
                let name = tickdeck_wire::record::line::name(line);
                let text = format!("line {name}: {}; is the interface up?", chain(&error));
                Err(Failure::new(Code::Failed, text))
            }
        }
    }
}
