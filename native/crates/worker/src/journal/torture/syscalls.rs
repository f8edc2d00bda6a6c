//! SIGKILL at the n-th call of every system call that changes a file, exactly: strace delivers the
//! signal on entry, so that this call does not happen any more.
//!
//! A short life is run once to count its calls; it makes the same ones each time. Then it dies at
//! each of them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

use super::check::Trial;
use super::child::{Event, WriterProcess, reason, was_killed};
use super::life;
use super::setting::{LogSetting, Setting};
use super::tally::Tally;
use super::{Codec, Policy};
use crate::exit::{Code, Failure};

/// A place to die.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Point {
    policy: Policy,
    call: String,
    /// Which of these calls, from 1.
    nth: u64,
}

/// Every point of a life under each policy; of many, `most` at equal distances.
pub(super) fn points(setting: &Setting, home: &Path, most: u64) -> Result<Vec<Point>, Failure> {
    let all = [Policy::Batch, Policy::Interval, Policy::Always, Policy::Os];
    let policies = setting.policy.map_or(all.to_vec(), |policy| vec![policy]);
    let mut points = Vec::new();
    for policy in policies {
        for (call, count) in count(setting, home, policy)? {
            points.extend((1..=count).map(|nth| Point {
                policy,
                call: call.clone(),
                nth,
            }));
        }
    }
    let stride = (points.len() as u64).div_ceil(most.max(1)).max(1);
    let first = usize::try_from(setting.seed % stride).unwrap_or(0);
    let stride = usize::try_from(stride).unwrap_or(usize::MAX);
    Ok(points.into_iter().skip(first).step_by(stride).collect())
}

/// Dies at each of the points.
pub(super) fn run(
    setting: &Setting,
    home: &Path,
    lane: u64,
    points: &[&Point],
    done: &AtomicU64,
) -> Result<Tally, Failure> {
    let home = life::home(home, lane);
    let mut tally = Tally::default();
    for (number, point) in points.iter().enumerate() {
        let mut trial = Trial::new(short_log(setting, &home, number, point.policy), &home)?;
        die(point, &mut trial, &mut tally)?;
        done.fetch_add(1, Ordering::Relaxed);
        if !tally.failures.is_empty() {
            break;
        }
        trial.remove()?;
    }
    Ok(tally)
}

fn die(point: &Point, trial: &mut Trial, tally: &mut Tally) -> Result<(), Failure> {
    let inject = format!("inject={}:signal=KILL:when={}", point.call, point.nth);
    let strace = strace(&[
        "-o",
        "/dev/null",
        "-e",
        &format!("trace={}", point.call),
        "-e",
        &inject,
    ]);
    let writer = WriterProcess::start(&trial.log, Some(RECORDS), &strace)?;
    let mut heard = Vec::new();
    let status = writer.end(&mut heard)?;
    tally.cuts += 1;
    tally.logs += 1;
    if !was_killed(status) {
        let why = if heard.contains(&Event::Done) {
            "was never reached".to_owned()
        } else {
            reason(&heard, status)
        };
        tally.fail(format!("{} number {}: {why}", point.call, point.nth));
        return Ok(());
    }
    trial.heard(&heard, &[], tally)?;
    trial.check(tally)?;
    trial.finish(tally)
}

/// How often a life makes each call.
fn count(setting: &Setting, home: &Path, policy: Policy) -> Result<BTreeMap<String, u64>, Failure> {
    let log = short_log(setting, home, usize::MAX, policy);
    let trace = home.join("calls");
    let output = trace.to_string_lossy().into_owned();
    let strace = strace(&["-o", &output, "-e", &format!("trace={CALLS}")]);
    let writer = WriterProcess::start(&log, Some(RECORDS), &strace)?;
    let mut heard = Vec::new();
    let status = writer.end(&mut heard)?;
    if !status.success() {
        let why = reason(&heard, status);
        return Err(Failure::failed(format!("a life under strace: {why}")));
    }
    let failed = |error| Failure::failed(format!("cannot read {output}: {error}"));
    let text = fs::read_to_string(&trace).map_err(failed)?;
    fs::remove_dir_all(&log.dir).map_err(failed)?;
    let mut counts = BTreeMap::new();
    // "1234 pwrite64(5, ..."
    for line in text.lines() {
        let call = line
            .split_whitespace()
            .nth(1)
            .and_then(|it| it.split_once('('));
        if let Some((call, _)) = call {
            *counts.entry(call.to_owned()).or_insert(0) += 1;
        }
    }
    Ok(counts)
}

/// Smallest segments; the folder's name has the same length each time.
fn short_log(setting: &Setting, home: &Path, number: usize, policy: Policy) -> LogSetting {
    let mut log = setting.log(home, 0);
    log.dir = home.join(format!("log-{number:020}"));
    log.policy = policy;
    log.codec = setting.codec.unwrap_or(match policy {
        Policy::Batch => Codec::Lz4,
        Policy::Interval | Policy::Os => Codec::Zstd,
        Policy::Always => Codec::None,
    });
    log.segment_bytes = 16 * 1024;
    log
}

/// The command line in front of a writer's.
pub(super) fn strace(options: &[&str]) -> Vec<String> {
    let always = ["strace", "-f", "-qq"];
    always
        .iter()
        .chain(options)
        .map(|&text| text.to_owned())
        .collect()
}

/// Refuses where there is no strace, or none that may trace.
pub(super) fn require() -> Result<(), Failure> {
    let tried = Command::new("strace")
        .args(["-f", "-qq", "-o", "/dev/null", "true"])
        .stdin(Stdio::null())
        .output();
    let why = match tried {
        Ok(output) if output.status.success() => return Ok(()),
        Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        Err(error) => error.to_string(),
    };
    let text = format!("cannot run strace, install it: {why}");
    Err(Failure::new(Code::Unavailable, text))
}

/// What changes files, and `write`, which is also how the writer reports.
const CALLS: &str = "write,pwrite64,fdatasync,fsync,fallocate,ftruncate,rename,renameat,renameat2,\
                     unlink,unlinkat,openat,mkdir";
/// Enough for some segments.
const RECORDS: u64 = 200;
