//! A long run at the highest rate that the sender reaches, for each path.

use std::time::Duration;

use serde_json::{Value, json};

use super::contender::{Contender, Setup, Stage};
use super::measure::{self, Flow};
use super::merged::BenchRing;
use super::report::by_layer;
use super::sender::Sender;
use super::{Error, Options};

/// One run for each path with the merge and the ring behind it; the bare loop where this build has
/// no receiver.
pub(crate) fn run(
    options: &Options,
    setup: &Setup,
    sender: &mut Sender,
    duration: Duration,
) -> Result<Value, Error> {
    let mut ring = BenchRing::create()?;
    let (mut rows, mut too_many) = (Vec::new(), Vec::new());
    for path in &options.paths {
        let contenders = Contender::all(&[*path], false);
        let of_path = contenders.iter().filter(|one| one.path == *path);
        let Some(contender) = of_path.max_by_key(|one| one.stage == Stage::Merged) else {
            continue;
        };
        let (kind, wait) = (Flow::Full(duration), options.soak_wait);
        let figures = measure::flow(*contender, setup, sender, &mut ring, kind, wait)?;
        let dropped = figures.lost.packets();
        rows.push(json!({
            "path": path.name(),
            "contender": contender.to_string(),
            "wait": format!("{wait:?}").to_lowercase(),
            "seconds": duration.as_secs(),
            "sent": figures.sent.packets,
            "sent_per_s": figures.sent.rate().round(),
            "sender_cpu_ns_per_packet": figures.sent.cpu_ns_per_packet().round(),
            "received": figures.received,
            "dropped": dropped,
            "dropped_ppm": dropped as f64 * 1e6 / figures.sent.packets.max(1) as f64,
            "dropped_by_layer": by_layer(&figures.lost),
            "cpu_ns_per_packet": figures.cpu_ns_per_packet().round(),
        }));
        eprintln!("{contender}: {dropped} of {} dropped", figures.sent.packets);
        if options.max_dropped.is_some_and(|most| dropped > most) {
            too_many.push(format!("{contender} {dropped}"));
        }
    }
    if !too_many.is_empty() {
        let report = json!({ "soak": rows });
        return Err(Error::Dropped(format!("{}; {report}", too_many.join(", "))));
    }
    Ok(json!({ "soak": rows }))
}
