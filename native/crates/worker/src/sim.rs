//! Wiring of `tickdeck-sim`: files, sockets, clock and commands around the `sim` engine.
//!
//! `play` sends a session as A/B multicast and serves it for recovery; `play-eobi` and
//! `play-cme` send a channel of that protocol with its snapshots; `generate` writes a day to a file. Threads of `play`: the player
//! (packets, heartbeats, faults; takes one queue of commands), one for each server that was asked
//! for (re-requests, SoupBinTCP stream, GLIMPSE snapshots, `len_seq_payload`), and the control
//! socket.

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use clap::Parser;
use serde_json::json;
use tickdeck_net::clock::monotonic_ns;
use tickdeck_sim::Packetizer;
use tickdeck_sim::faults::FaultEngine;

use crate::exit::{self, Code, Failure};
use crate::lifecycle::StopFlag;
use crate::logging;

mod args;
mod channel_player;
mod cme;
mod commands;
mod eobi;
mod fault_json;
mod files;
mod meters;
mod outlets;
mod player;
mod requests;
mod runtime;
mod servers;

use args::{Cli, Command, GenerateArgs, PlayArgs};
use outlets::Outlets;
use player::{Player, Published};
use requests::RequestThread;
use runtime::Runtime;
use servers::ServerThreads;

/// Runs the command line and returns the exit code.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    logging::start();
    exit::finish(match cli.command {
        Command::Play(args) => play(&args),
        Command::PlayCme(args) => cme::play(&args),
        Command::PlayEobi(args) => eobi::play(&args),
        Command::Generate(args) => generate(&args),
    })
}

fn play(args: &PlayArgs) -> Result<Code, Failure> {
    let stop = StopFlag::on_signals()?;
    let history = Arc::new(files::load(args)?);
    let payload = usize::from(args.max_payload);
    let packetizer = Packetizer::new(&history, payload, args.messages_per_packet)
        .map_err(|error| Failure::new(Code::Config, error.to_string()))?;
    let mut engine = FaultEngine::new();
    for fault in &args.faults {
        fault
            .arm(&mut engine, args.seed, monotonic_ns())
            .map_err(|error| Failure::new(Code::Config, format!("--fault: {error}")))?;
    }
    let (commands, inbox) = mpsc::channel();
    let (runtime, meters) = Runtime::open(args, &commands, &stop)?;
    let published = Arc::new(Published::default());
    // In force before anybody can ask.
    published.publish_lies(&mut engine, monotonic_ns());
    let outlets = Outlets::open(args, Arc::clone(&history))?;
    let requests = args.request_listen.map(|address| {
        RequestThread::start(args, address, &history, &published, meters.requests, &stop)
    });
    let requests = requests.transpose()?;
    let servers = ServerThreads::start(args, &history, &published, &stop)?;
    announce(history.messages(), requests.as_ref(), &servers)?;
    let player = Player::new(args, packetizer, engine, outlets, published, meters.play);
    let result = player.run(&inbox, &stop);
    stop.set();
    let served = requests.map_or(Ok(()), RequestThread::join);
    let served = served.and(servers.join());
    // Held until here: while it lives the numbers do, and other copies are kept away.
    runtime.close(&result);
    // A failed server stops the player too; its error is the cause then.
    served.and(result)
}

/// Tells whoever started this process that packets flow: one JSON line.
fn announce(
    messages: u64,
    requests: Option<&RequestThread>,
    servers: &ServerThreads,
) -> Result<(), Failure> {
    let text = |address: std::net::SocketAddr| address.to_string();
    let listen = requests.map(|server| text(server.address()));
    let [soup, glimpse, peer] = servers.addresses().map(|address| address.map(text));
    let line = json!({
        "ready": true, "request_listen": listen, "soup_listen": soup, "glimpse_listen": glimpse,
        "peer_listen": peer, "messages": messages,
    });
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")
        .and_then(|()| out.flush())
        .map_err(|error| Failure::failed(format!("write to standard output: {error}")))
}

fn generate(args: &GenerateArgs) -> Result<Code, Failure> {
    let report = files::generate(args)?;
    let mut out = std::io::stdout().lock();
    let text = if args.json {
        files::report_json(&report)
    } else {
        files::report_text(&report)
    };
    writeln!(out, "{text}")
        .map_err(|error| Failure::failed(format!("write to standard output: {error}")))?;
    Ok(Code::Clean)
}

/// How long a thread sleeps at most before it looks for a stop.
const STOP_POLL: Duration = Duration::from_millis(20);
