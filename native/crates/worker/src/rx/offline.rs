//! `tickdeck-rx offline`: a capture through the merge of the live worker, without a network.
//!
//! Datagrams of the lines are put in order of their times, as file order need not be that, and go
//! through the same arbiter. Nothing is asked for again; what no line brings is a gap at once, and
//! what a line brings later in the capture is waited for. One JSON object:
//!
//! ```json
//! {"channels":[{"channel":"224.0.31.64:14340","session":"EPOCH00001",
//!   "packets_a":5000,"packets_b":5000,"first_sequence":5615,"last_sequence":10614,
//!   "first_a":193,"first_b":4807,"lost_a":0,"lost_b":0,"duplicates":5000,"conflicts":0,
//!   "gaps":[],"skew_ns":{"min":-15400,"p1":-4679,"p50":-261,"p99":1378,"max":6087},
//!   "rpt_seq":{"instruments":127,"updates":15731,"malformed":0,"jumps":0},"uncompared":0,"rejected":{}}]}
//! ```
//!
//! | Key | Means |
//! |---|---|
//! | `session` | the session, or the epoch of a protocol whose sessions have no names |
//! | `packets_a` | packets of the channel that came on the line, less what `--drop` takes |
//! | `first_sequence`, `last_sequence` | the lowest and highest number of the capture, before `--drop` |
//! | `first_a` | numbers of which this line's copy was the first |
//! | `lost_a` | numbers between those two that did not come on the line |
//! | `duplicates` | numbers that were there when a copy came |
//! | `conflicts` | copies with other bytes than what was taken |
//! | `uncompared` | duplicates whose bytes were not at hand any more |
//! | `gaps` | ranges that no line brought |
//! | `skew_ns` | arrival on B less arrival on A, of what came on both; `null` when nothing did |
//! | `rpt_seq` | CME MDP 3.0, of the merged stream: instruments, their updates, and how often RptSeq did not go on by 1; else `null` |
//! | `rejected` | datagrams that are no packets of the protocol or channel, by reason |
//!
//! A capture with several sessions gives one object for each session of a channel.

use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use clap::Args;
use tickdeck_arbiter::ConfigError;
use tickdeck_wire::eobi::ReleaseError;

use crate::exit::{Code, Failure};

mod account;
mod arguments;
mod arrivals;
mod continuity;
mod merge;
mod merged;
mod protocol;
mod report;

use account::Account;
use arguments::{Drops, Pair};
use arrivals::Arrivals;
pub(crate) use merged::Merged;
use protocol::Choice;

/// Arguments of `offline`.
#[derive(Args, Clone, Debug)]
pub(super) struct OfflineArgs {
    /// A capture: pcap or pcapng, plain or gzip.
    #[arg(long)]
    capture: PathBuf,
    /// What the lines speak; told from the first packets when it is left out.
    #[arg(long, value_enum)]
    protocol: Option<Choice>,
    /// Release of the EOBI interface, 14.1 or 6.0; told like the protocol when it is left out.
    #[arg(long)]
    eobi_release: Option<String>,
    /// The lines of a channel; each A begins another channel.
    #[arg(long, value_name = "A=GROUP:PORT,B=GROUP:PORT", required = true)]
    lines: Vec<String>,
    /// Numbers to take away from a line before the merge.
    #[arg(long, value_name = "A:FROM-TO,…")]
    drop: Vec<String>,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    json: bool,
}

/// Reads the capture, merges each channel and prints what came of it.
pub(super) fn run(args: &OfflineArgs) -> Result<Code, Failure> {
    let pairs = Pair::parse_all(&args.lines).map_err(bad_argument)?;
    let drops = Drops::parse_all(&args.drop).map_err(bad_argument)?;
    let release = args.eobi_release.as_deref().map(str::parse).transpose();
    let release =
        release.map_err(|error: ReleaseError| bad_argument(format!("--eobi-release: {error}")))?;
    let arrivals = Arrivals::read(&args.capture, &pairs)?;
    let wire = protocol::choose(args.protocol, release, &arrivals).map_err(bad_argument)?;
    tracing::debug!(?wire, datagrams = arrivals.len(), "read");
    let mut accounts = Vec::new();
    for (index, pair) in pairs.iter().enumerate() {
        let merged = merge::run(&arrivals, index, wire, &drops);
        let merged: Vec<Account> = merged.map_err(|error: ConfigError| Failure::failed(error))?;
        accounts.extend(merged.into_iter().map(|account| (pair.name(), account)));
    }
    let mut out = BufWriter::new(io::stdout().lock());
    let written = if args.json {
        report::write_json(&mut out, &accounts)
    } else {
        report::write_table(&mut out, &accounts)
    };
    written
        .and_then(|()| out.flush())
        .map_err(|error| Failure::failed(format!("standard output: {error}")))?;
    Ok(Code::Clean)
}

fn bad_argument(text: String) -> Failure {
    Failure::new(Code::Config, text)
}
