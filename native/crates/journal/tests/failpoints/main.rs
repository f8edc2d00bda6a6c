//! R02: a writer is killed at every named place, the first, second and seventh time that it comes
//! there. The log opens, holds everything acknowledged once and in order, and goes on; what was
//! damaged is repaired by the next start.
//!
//! `TICKDECK_FAILPOINT_POLICIES` names the sync policies, `batch` by default; `interval,batch,always`
//! are those of the soak.

mod child;

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use tempfile::TempDir;
use tickdeck_journal::kind::{self, JournalHole};
use tickdeck_journal::{
    JournalError, Reader, RecoveryMode, RecoveryReport, Writer, failpoints, verify,
};

use crate::child::{Damaged, LOG, Oracle, config, payload};

/// Which times of coming to a place kill.
const HITS: [u32; 3] = [1, 2, 7];

#[test]
fn a_kill_at_every_place_loses_nothing_acknowledged() {
    let policies = env::var("TICKDECK_FAILPOINT_POLICIES").unwrap_or_else(|_| "batch".into());
    for policy in policies.split(',') {
        let lived = run(policy, None);
        assert!(!lived.was_killed, "the child ends by itself without a kill");
        assert!(lived.acknowledged > 500, "{policy}: {}", lived.acknowledged);
        let places: Vec<(&str, u32)> = failpoints::names()
            .iter()
            .flat_map(|name| HITS.map(|hit| (*name, hit)))
            .collect();
        let (next, seldom) = (AtomicUsize::new(0), Mutex::new(BTreeSet::new()));
        thread::scope(|scope| {
            for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
                scope.spawn(|| {
                    while let Some(place) = places.get(next.fetch_add(1, Ordering::Relaxed)) {
                        if !run(policy, Some(*place)).was_killed {
                            seldom.lock().expect("no panic inside").insert(*place);
                        }
                    }
                });
            }
        });
        let seldom = seldom.into_inner().expect("no panic inside");
        let kills = places.len() - seldom.len();
        println!(
            "{{\"policy\":\"{policy}\",\"places\":{},\"kills\":{kills},\"acknowledged_lost\":0,\"not_so_often\":\"{seldom:?}\"}}",
            failpoints::names().len()
        );
        let never: Vec<_> = seldom.iter().filter(|(_, hit)| *hit == 1).collect();
        assert!(
            never.is_empty(),
            "{policy}: the child never comes to {never:?}"
        );
        assert!(seldom.len() <= 6, "{policy}: {seldom:?}");
    }
}

/// A life that was lived to its end or to a kill, and checked.
struct Lived {
    was_killed: bool,
    acknowledged: u64,
}

/// Lets a child live, kills it at the n-th hit of a place, and checks what it leaves.
fn run(policy: &str, place: Option<(&str, u32)>) -> Lived {
    let home = scratch();
    let context = format!("{policy}, {place:?}");
    let (name, actions) = match place {
        Some((name, hit)) => (name, format!("{name}={}*off->return(kill)", hit - 1)),
        None => ("", String::new()),
    };
    let output = Command::new(env::current_exe().expect("knows itself"))
        .args(["--exact", "child::life", "--nocapture", "--test-threads=1"])
        .env(child::HOME, home.path())
        .env(child::POLICY, policy)
        .env(child::PLACE, name)
        // A first count of 0 is none.
        .env("FAILPOINTS", actions.replace("=0*off->", "="))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .output()
        .expect("starts");
    let was_killed = output.status.signal() == Some(9);
    assert!(
        was_killed || output.status.success(),
        "{context}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    let oracle = Oracle::read(home.path());
    check_log(&home.path().join(LOG), policy, &oracle, &context);
    if let Some(damaged) = &oracle.damaged {
        check_damaged(damaged, policy, &context);
    }
    Lived {
        was_killed,
        acknowledged: oracle.acknowledged,
    }
}

/// The log that nobody damages opens as every writer opens it, and has it all.
fn check_log(dir: &Path, policy: &str, oracle: &Oracle, context: &str) {
    let report =
        go_on(dir, policy, RecoveryMode::Tail).unwrap_or_else(|error| panic!("{context}: {error}"));
    assert!(
        report.next_seq > oracle.acknowledged,
        "{context}: {report:?}"
    );
    let mut reader = Reader::open(dir).expect("opens");
    let mut next_seq = reader.position();
    assert!(
        next_seq <= oracle.may_begin,
        "{context}: begins with {next_seq}"
    );
    while let Some(entry) = reader
        .next()
        .unwrap_or_else(|error| panic!("{context}: {error}"))
    {
        assert_eq!(entry.seq, next_seq, "{context}");
        match entry.record.kind {
            kind::JOURNAL_HOLE => {
                let hole = JournalHole::decode(entry.record.payload).expect("a hole");
                assert_eq!(hole.reason, child::HOLE_REASON, "{context}: {hole:?}");
            }
            _ => assert_eq!(entry.record.payload, payload(entry.seq), "{context}"),
        }
        next_seq = reader.position();
    }
    assert!(
        next_seq > oracle.acknowledged,
        "{context}: ends at {next_seq}"
    );
    let kept = torn_tails_kept(dir);
    assert!(
        kept >= oracle.torn_tails,
        "{context}: {kept} of {}",
        oracle.torn_tails
    );
}

/// Torn tails in quarantine; what an interrupted start had copied may be there twice.
fn torn_tails_kept(dir: &Path) -> usize {
    let names = fs::read_dir(dir.join("quarantine")).into_iter().flatten();
    let names = names.map(|entry| {
        entry
            .expect("lists")
            .file_name()
            .to_string_lossy()
            .into_owned()
    });
    let cut = names.filter_map(|name| Some(name.split_once(".torn")?.0.to_owned()));
    cut.collect::<BTreeSet<String>>().len()
}

/// A log in which something was damaged is mended by the next start, or by an operator's; what lies
/// before the damage is there, and no sequence is given out twice.
fn check_damaged(damaged: &Damaged, policy: &str, context: &str) {
    let report = match go_on(&damaged.dir, policy, RecoveryMode::Tail) {
        Err(JournalError::Refused { .. }) => go_on(&damaged.dir, policy, RecoveryMode::PointInTime),
        report => report,
    };
    let report = report.unwrap_or_else(|error| panic!("{context}: {error}"));
    assert!(report.next_seq > damaged.given, "{context}: {report:?}");
    let mut reader = Reader::open(&damaged.dir).expect("opens");
    reader.seek(damaged.kept.0).expect("is there");
    for seq in damaged.kept.0..=damaged.kept.1 {
        let entry = reader.next().expect("reads").expect("is there");
        assert_eq!(
            (entry.seq, entry.record.payload),
            (seq, &payload(seq)[..]),
            "{context}"
        );
    }
}

/// Opens, appends, closes, verifies.
fn go_on(dir: &Path, policy: &str, mode: RecoveryMode) -> Result<RecoveryReport, JournalError> {
    let (mut writer, report) = Writer::open_with(config(dir, policy), mode)?;
    child::append(&mut writer);
    writer.close()?;
    let found = verify(dir, &mut |_| {})?;
    assert_eq!(found.problems, [], "{}", dir.display());
    match fs::read_to_string(dir.join("recovery-report.json")) {
        Ok(told) => assert!(!told.contains("\"finished\": false"), "{told}"),
        // Nothing had to be repaired.
        Err(error) => assert_eq!(error.kind(), io::ErrorKind::NotFound, "{error}"),
    }
    Ok(report)
}

fn scratch() -> TempDir {
    let memory = Path::new("/dev/shm");
    let made = if memory.is_dir() {
        TempDir::new_in(memory)
    } else {
        TempDir::new()
    };
    made.expect("a directory")
}
