//! The command line of `tickdeck-sim`.

use std::net::{SocketAddr, SocketAddrV4};
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Parser, Subcommand};
use tickdeck_sim::Rate;
use tickdeck_wire::moldudp64::Session;
use tickdeck_wire::soupbintcp::Username;

use super::cme::PlayCmeArgs;
use super::eobi::PlayEobiArgs;
use super::fault_json::FaultSpec;

/// An exchange in one process: plays a day as A/B multicast, answers re-requests, injects faults.
#[derive(Debug, Parser)]
#[command(name = "tickdeck-sim", version)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Send a session on the lines and answer re-requests.
    Play(Box<PlayArgs>),
    /// Send a generated EOBI channel: incremental lines and the snapshot channel.
    PlayEobi(Box<PlayEobiArgs>),
    /// Send a generated CME MDP 3.0 channel: incremental lines and the snapshot loop.
    PlayCme(Box<PlayCmeArgs>),
    /// Write a generated trading day (ITCH 5.0, BinaryFILE) and print its table.
    Generate(GenerateArgs),
}

#[derive(Args, Debug)]
pub(super) struct PlayArgs {
    #[command(flatten)]
    pub(super) source: Source,
    /// Of a capture, play the messages that were sent there; without it, to the first destination
    /// that gets MoldUDP64 messages.
    #[arg(long, value_name = "GROUP:PORT", conflicts_with = "generate")]
    pub(super) destination: Option<SocketAddr>,
    /// Messages of a generated day.
    #[arg(long, default_value_t = 100_000, requires = "generate")]
    pub(super) messages: u64,
    /// Instruments of a generated day.
    #[arg(long, default_value_t = 10, requires = "generate")]
    pub(super) instruments: u32,
    /// Seed of a generated day, and of faults that name none.
    #[arg(long, default_value_t = 1)]
    pub(super) seed: u64,
    /// A line to send on, such as A=239.81.0.1:31001; A, B or both.
    #[arg(long = "line", required = true, value_name = "NAME=GROUP:PORT")]
    pub(super) lines: Vec<LineArg>,
    /// Interface to send through: its name or its address.
    #[arg(long, default_value = "127.0.0.1")]
    pub(super) interface: String,
    /// Routers that the multicast may pass, plus one.
    #[arg(long, default_value_t = 1)]
    pub(super) ttl: u8,
    /// Where to answer re-requests; port 0 takes any. Without it nobody answers.
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(super) request_listen: Option<SocketAddrV4>,
    /// Where to serve the session as a SoupBinTCP stream; port 0 takes any.
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(super) soup_listen: Option<SocketAddrV4>,
    /// Where to serve GLIMPSE snapshots; port 0 takes any.
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(super) glimpse_listen: Option<SocketAddrV4>,
    /// Where to answer len_seq_payload requests, as another tickdeck; port 0 takes any.
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(super) peer_listen: Option<SocketAddrV4>,
    /// Who may log in to stream and snapshots, up to six characters; without it anybody may.
    #[arg(long, requires = "password_file")]
    pub(super) username: Option<Username>,
    /// File with that user's password, not readable by others.
    #[arg(long, value_name = "FILE", requires = "username")]
    pub(super) password_file: Option<PathBuf>,
    /// MoldUDP64 session, up to ten characters.
    #[arg(long, default_value = "DEMO000001")]
    pub(super) session: Session,
    /// Messages per second, or "max".
    #[arg(long, default_value = "10000", value_parser = parse_rate)]
    pub(super) rate: Rate,
    /// Most bytes of a packet, header included.
    #[arg(long, default_value_t = 1_400)]
    pub(super) max_payload: u16,
    /// Most messages of a packet.
    #[arg(long, default_value_t = 8)]
    pub(super) messages_per_packet: u16,
    /// Send a heartbeat when nothing was sent for so long.
    #[arg(long, default_value_t = 250, value_parser = clap::value_parser!(u64).range(1..=60_000))]
    pub(super) heartbeat_ms: u64,
    /// Directory of the lock, the stats file and the control socket; made when absent. Without it
    /// there are none of them.
    #[arg(long)]
    pub(super) runtime_dir: Option<PathBuf>,
    /// Send heartbeats only, until the control op "play".
    #[arg(long, requires = "runtime_dir")]
    pub(super) wait: bool,
    /// A fault armed from the start, when its lease begins:
    /// {"fault":…,"args":{…},"seed":N,"lease_ms":N}.
    #[arg(long = "fault", value_name = "JSON")]
    pub(super) faults: Vec<FaultSpec>,
    /// Exit so long after the last message; without it, send ends of session until stopped.
    #[arg(long)]
    pub(super) exit_after_end_ms: Option<u64>,
}

#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
pub(super) struct Source {
    /// Play this ITCH file (BinaryFILE) or capture (pcap, pcapng), gzip or not.
    #[arg(long, value_name = "FILE")]
    pub(super) input: Option<PathBuf>,
    /// Play a generated day.
    #[arg(long)]
    pub(super) generate: bool,
}

#[derive(Args, Debug)]
pub(super) struct GenerateArgs {
    /// Messages wanted; the day has at most five more, and at least its opening.
    #[arg(long)]
    pub(super) messages: u64,
    /// Instruments, up to 65,535.
    #[arg(long)]
    pub(super) instruments: u32,
    /// Seed: the same one gives the same day.
    #[arg(long, default_value_t = 1)]
    pub(super) seed: u64,
    /// File to write; a name that ends in .gz is compressed.
    #[arg(long)]
    pub(super) out: PathBuf,
    /// Print the table as JSON.
    #[arg(long)]
    pub(super) json: bool,
}

/// A line's code (0 is A, 1 is B) and where it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LineArg {
    pub(super) code: u8,
    pub(super) target: SocketAddrV4,
}

impl FromStr for LineArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wanted = "wanted A=GROUP:PORT or B=GROUP:PORT";
        let (name, target) = text.split_once('=').ok_or(wanted)?;
        let code = match name {
            "A" => 0,
            "B" => 1,
            _ => return Err(format!("line {name:?} is neither A nor B; {wanted}")),
        };
        let target: SocketAddrV4 = target
            .parse()
            .map_err(|error| format!("{target:?}: {error}; {wanted}"))?;
        Ok(Self { code, target })
    }
}

fn parse_rate(text: &str) -> Result<Rate, String> {
    if text == "max" {
        return Ok(Rate::Max);
    }
    match text.parse::<NonZeroU64>() {
        Ok(per_second) if per_second.get() <= 1_000_000_000 => Ok(Rate::PerSecond(per_second)),
        _ => Err("wanted 1 to 1000000000 messages per second, or max".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn play(extra: &[&str]) -> Result<PlayArgs, String> {
        let start = [
            "tickdeck-sim",
            "play",
            "--generate",
            "--line",
            "A=239.81.0.1:31001",
        ];
        let line = start.iter().chain(extra);
        match Cli::try_parse_from(line)
            .map_err(|error| error.to_string())?
            .command
        {
            Command::Play(args) => Ok(*args),
            _ => Err("not play".to_owned()),
        }
    }

    /// Proves that the smallest command line has defaults that work.
    #[test]
    fn the_defaults_are_complete() {
        let args = play(&[]).expect("defaults");
        assert_eq!(
            (args.lines[0].code, args.lines[0].target.port()),
            (0, 31_001)
        );
        assert_eq!(args.session, Session(*b"DEMO000001"));
        assert_eq!(
            (args.max_payload, args.heartbeat_ms, args.wait),
            (1_400, 250, false)
        );
    }

    /// Proves that a bad value is refused with what would be accepted.
    #[test]
    fn bad_values_say_what_is_wanted() {
        let cases: [(&[&str], &str); 10] = [
            (&["--rate", "0"], "or max"),
            (&["--line", "C=239.0.0.1:1"], "neither A nor B"),
            (&["--line", "B=nowhere"], "wanted A=GROUP:PORT"),
            (&["--session", "ELEVENCHARS"], "1 to 10 printable"),
            (&["--fault", "{}"], "missing field"),
            (&["--wait"], "--runtime-dir"),
            (&["--username", "tick"], "--password-file"),
            (&["--username", "sevenof9"], "at most 6"),
            (&["--destination", "239.1.1.1:5"], "cannot be used with"),
            (&["--destination", "nowhere"], "invalid socket address"),
        ];
        for (extra, expected) in cases {
            let error = play(extra).expect_err("refused");
            assert!(error.contains(expected), "{error}");
        }
    }

    /// Proves that both rates are understood.
    #[test]
    fn rates_are_numbers_or_max() {
        assert_eq!(parse_rate("max"), Ok(Rate::Max));
        let rate = NonZeroU64::new(250_000).expect("not zero");
        assert_eq!(parse_rate("250000"), Ok(Rate::PerSecond(rate)));
    }
}
