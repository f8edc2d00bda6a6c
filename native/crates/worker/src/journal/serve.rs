//! `tickdeck-journal serve`: answers ranges of a journal over TCP (`len_seq_payload`).
//!
//! Another tickdeck asks for what it missed. The journal may be growing; it is only read. Ranges
//! are found by an index that follows the journal; what is given is the DATA records' bytes.

use std::io::Write as _;
use std::net::SocketAddrV4;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde_json::json;
use tickdeck_wire::replay::{Frame, Refusal};

use self::conversation::JournalConversation;
use self::index::Index;
use super::journal_failure;
use crate::exit::{Code, Failure};
use crate::lifecycle::{StopFlag, announce_ready};
use crate::tcp::TcpServer;

mod conversation;
mod index;

/// Answers wait for nothing but their client.
const TICK: Duration = Duration::from_millis(20);

/// Arguments of `serve`.
#[derive(Args, Clone, Debug)]
pub(super) struct ServeArgs {
    /// The journal directory.
    #[arg(long)]
    dir: PathBuf,
    /// Where to answer; port 0 takes any. A loopback address, as long as there is no TLS.
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: SocketAddrV4,
    /// What the venue numbers.
    #[arg(long, value_enum, default_value_t = Numbered::Messages)]
    numbered: Numbered,
    /// Listen on an address that other hosts reach, in clear text and for anybody.
    #[arg(long)]
    allow_remote: bool,
    /// Descriptor that gets one newline when answers are given.
    #[arg(long)]
    ready_fd: Option<u32>,
}

/// What one sequence number stands for, and so what a DATA record holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Numbered {
    /// One message (MoldUDP64): a record is a run of message blocks.
    Messages,
    /// One packet (CME MDP 3.0, EOBI): a record is a whole packet.
    Packets,
}

/// Serves until a stop.
pub(super) fn run(args: &ServeArgs) -> Result<Code, Failure> {
    if !args.listen.ip().is_loopback() && !args.allow_remote {
        let text = format!(
            "listen on {}: other hosts could read the journal in clear text, and there is no TLS \
             before the exporter has it; take a loopback address (and a tunnel), or --allow-remote",
            args.listen
        );
        return Err(Failure::new(Code::Config, text));
    }
    let stop = StopFlag::on_signals()?;
    let mut index =
        Index::open(&args.dir, args.numbered).map_err(|error| journal_failure(&error))?;
    index.follow().map_err(|error| journal_failure(&error))?;
    let index = Arc::new(Mutex::new(index));
    let mut busy = Vec::new();
    Frame::Refused {
        first_sequence: 1,
        reason: Refusal::Busy,
    }
    .encode(&mut busy);
    let (dir, numbered) = (args.dir.clone(), args.numbered);
    let server = TcpServer::bind("ranges", args.listen.into(), busy, move |now_ns| {
        JournalConversation::new(dir.clone(), numbered, Arc::clone(&index), now_ns)
    })?;
    let line = json!({"ready": true, "listen": server.address().to_string()});
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")
        .and_then(|()| out.flush())
        .map_err(|error| Failure::failed(format!("write to standard output: {error}")))?;
    drop(out);
    announce_ready(args.ready_fd)?;
    server.run(TICK, &stop)?;
    Ok(Code::Clean)
}
