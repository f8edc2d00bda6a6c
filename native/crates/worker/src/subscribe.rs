//! `tickdeck-journal subscribe`: takes a journal over the export protocol, keeps it, acknowledges it.
//!
//! It dials an exporter (`--connect`) or waits to be dialled by one (`--listen`). Records go to
//! standard output, one line each, or as stored blocks into a directory (`--into`). What was given on
//! is made durable first, then the position in `--state`, then it is acknowledged; a subscriber that
//! is killed at any moment goes on where its position stands. A directory is cut to the position when
//! it is opened, so it has every sequence once; lines may come twice after a kill, told by `seq`.

mod args;
mod copy;
mod door;
mod follow;
mod lines;
mod link;
mod position;
mod wire;

use crate::exit::{Code, Failure};
use crate::lifecycle::StopFlag;

pub(crate) use self::args::SubscribeArgs;
use self::follow::Follower;

/// Follows until a stop, or until as many records came as were wanted.
pub(crate) fn run(args: &SubscribeArgs) -> Result<Code, Failure> {
    let plan = args.plan()?;
    let stop = StopFlag::on_signals()?;
    Follower::open(plan, stop)?.run()
}
