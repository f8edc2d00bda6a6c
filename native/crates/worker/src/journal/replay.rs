//! `tickdeck-journal replay`: sends a journal or a capture to a multicast group at its recorded
//! pace.
//!
//! A journal gives back the MoldUDP64 packets that were accepted: the venue's sequences, its
//! session, one packet per run of messages. A capture gives back the UDP payloads as they are.

use std::net::SocketAddrV4;
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};
use tickdeck_net::clock::monotonic_ns;
use tickdeck_net::{MulticastSender, NetError, find_interface};

use self::captured::CaptureSource;
use self::pace::Pace;
use self::records::JournalSource;
use self::runtime::{Facts, Runtime, State};
use super::progress::ProgressLine;
use super::{answer, chain};
use crate::exit::{Code, Failure};
use crate::lifecycle::{StopFlag, announce_ready};

mod captured;
mod pace;
mod records;
mod runtime;

/// Arguments of `replay`.
#[derive(Args, Clone, Debug)]
pub(super) struct ReplayArgs {
    #[command(flatten)]
    source: SourceArgs,
    /// The multicast group to send to.
    #[arg(long, value_name = "GROUP:PORT")]
    target: SocketAddrV4,
    /// Interface to send through: its name or its address.
    #[arg(long, default_value = "127.0.0.1")]
    interface: String,
    /// Routers that the multicast may pass, plus one.
    #[arg(long, default_value_t = 1)]
    ttl: u8,
    /// Multiple of the recorded pace; 0 is as fast as possible.
    #[arg(long, default_value_t = 1.0, value_parser = parse_speed, allow_negative_numbers = true)]
    speed: f64,
    /// First journal sequence, or number of the captured frame.
    #[arg(long)]
    from: Option<NonZeroU64>,
    /// Last journal sequence, or number of the captured frame.
    #[arg(long)]
    to: Option<NonZeroU64>,
    /// Directory of the lock, the stats file and the control socket; made when absent. Without it
    /// there are none of them.
    #[arg(long)]
    runtime_dir: Option<PathBuf>,
    /// Descriptor that gets one newline when packets begin to flow.
    #[arg(long)]
    ready_fd: Option<u32>,
    /// Print one JSON object at the end or the stop: what was sent.
    #[arg(long)]
    json: bool,
    /// Show progress on standard error even when it is no terminal, about once a second.
    #[arg(long)]
    progress: bool,
}

#[derive(Args, Clone, Debug)]
#[group(required = true, multiple = false)]
struct SourceArgs {
    /// Replay this journal directory.
    #[arg(long, value_name = "DIR")]
    journal: Option<PathBuf>,
    /// Replay this capture (pcap or pcapng, gzip or not).
    #[arg(long, value_name = "FILE")]
    capture: Option<PathBuf>,
}

/// A datagram to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Packet<'a> {
    payload: &'a [u8],
    /// When it was received, UTC nanoseconds.
    at_ns: u64,
    /// Messages in it.
    messages: u64,
    /// Journal sequence, or number of the frame in the capture from 1.
    position: u64,
}

/// Where datagrams come from.
trait Source {
    /// The next datagram, `None` at the end.
    fn next(&mut self) -> Result<Option<Packet<'_>>, Failure>;
    /// Records or frames within the range that hold nothing to send.
    fn skipped(&self) -> u64;
    /// The first and the last position that will come, where that is known.
    fn span(&self) -> Option<(u64, u64)>;
}

/// Replays until the end of the source or a stop.
pub(super) fn run(args: &ReplayArgs) -> Result<Code, Failure> {
    let stop = StopFlag::on_signals()?;
    let runtime = Runtime::open(args.runtime_dir.as_deref(), &stop)?;
    let mut facts = Facts::default();
    let result = open_source(args).and_then(|mut source| {
        let sender = open_sender(args)?;
        announce_ready(args.ready_fd)?;
        send_all(source.as_mut(), &sender, args, &runtime, &stop, &mut facts)
    });
    runtime.close(&result);
    if args.json && result.is_ok() {
        let stopped = matches!(result, Ok(Code::Stopped));
        answer(true, &to_json(&facts, stopped), "")?;
    }
    result
}

fn to_json(facts: &Facts, stopped: bool) -> Value {
    json!({
        "packets": facts.packets_sent,
        "messages": facts.messages_sent,
        "position": facts.position,
        "skipped": facts.skipped,
        "stopped": stopped,
    })
}

fn open_source(args: &ReplayArgs) -> Result<Box<dyn Source>, Failure> {
    let from = args.from.map_or(1, NonZeroU64::get);
    let to = args.to.map_or(u64::MAX, NonZeroU64::get);
    if from > to {
        return Err(Failure::new(
            Code::Config,
            format!("--from {from} is above --to {to}"),
        ));
    }
    Ok(match (&args.source.journal, &args.source.capture) {
        (Some(dir), _) => Box::new(JournalSource::open(
            dir,
            args.from.map(NonZeroU64::get),
            to,
        )?),
        (None, Some(path)) => Box::new(CaptureSource::open(path, from, to)?),
        (None, None) => unreachable!("one of the group is required"),
    })
}

fn open_sender(args: &ReplayArgs) -> Result<MulticastSender, Failure> {
    let unavailable = |error: NetError| Failure::new(Code::Unavailable, chain(&error));
    let interface = find_interface(&args.interface).map_err(unavailable)?;
    MulticastSender::open(
        (*args.target.ip()).into(),
        args.target.port(),
        &interface,
        args.ttl,
    )
    .map_err(|error| Failure::new(Code::Config, chain(&error)))
}

fn send_all(
    source: &mut dyn Source,
    sender: &MulticastSender,
    args: &ReplayArgs,
    runtime: &Runtime,
    stop: &StopFlag,
    facts: &mut Facts,
) -> Result<Code, Failure> {
    let mut pace = Pace::new(args.speed);
    let mut display = ProgressLine::new(args.progress);
    let (first, last) = source.span().unzip();
    let total = last.zip(first).map(|(last, first)| last + 1 - first);
    runtime.show(facts, State::Running);
    while let Some(packet) = source.next()? {
        let due_ns = pace.due_ns(packet.at_ns, monotonic_ns());
        if !wait_until(due_ns, runtime, stop) {
            display.clear()?;
            return Ok(Code::Stopped);
        }
        sender
            .send(packet.payload)
            .map_err(|error| Failure::failed(chain(&error)))?;
        facts.packets_sent += 1;
        facts.messages_sent += packet.messages;
        facts.position = packet.position;
        facts.skipped = source.skipped();
        runtime.show(facts, State::Running);
        if let (Some(total), Some(first)) = (total, first) {
            display.show(facts.position + 1 - first, total, "records");
        }
    }
    display.clear()?;
    facts.skipped = source.skipped();
    runtime.show(facts, State::Running);
    Ok(Code::Clean)
}

/// Waits; false when a stop came first.
fn wait_until(due_ns: u64, runtime: &Runtime, stop: &StopFlag) -> bool {
    loop {
        if stop.is_set() {
            return false;
        }
        let now_ns = monotonic_ns();
        runtime.heartbeat(now_ns);
        let Some(left_ns) = due_ns.checked_sub(now_ns).filter(|left| *left > 0) else {
            return true;
        };
        thread::sleep(Duration::from_nanos(left_ns).min(STOP_POLL));
    }
}

fn parse_speed(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(speed) if speed.is_finite() && speed >= 0.0 => Ok(speed),
        _ => Err("wanted 0 (as fast as possible) or a positive multiple such as 0.5 or 10".into()),
    }
}

/// How long a wait lasts at most before it looks for a stop.
const STOP_POLL: Duration = Duration::from_millis(20);
