//! The writer that is killed: it comes to every place of the journal at least seven times.

use std::env;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use tickdeck_journal::{
    JournalError, Limits, Record, RecoveryMode, SyncPolicy, Writer, WriterConfig, failpoints, kind,
    prune,
};

pub(crate) const HOME: &str = "TICKDECK_FAILPOINT_TEST_HOME";
pub(crate) const POLICY: &str = "TICKDECK_FAILPOINT_TEST_POLICY";
pub(crate) const PLACE: &str = "TICKDECK_FAILPOINT_TEST_PLACE";
/// The log that nobody damages.
pub(crate) const LOG: &str = "log";
/// Of the holes that the child appends itself.
pub(crate) const HOLE_REASON: u8 = 1;

/// The child of the test. Does nothing in a normal test run.
#[test]
fn life() {
    let Some(home) = env::var_os(HOME) else {
        return;
    };
    let text = |name| env::var(name).expect("the parent says it");
    failpoints::arm();
    let mut child = Child {
        oracle: Oracle::open(home.as_ref()),
        home: home.into(),
        policy: text(POLICY),
        place: text(PLACE),
        now_ns: 0,
    };
    for round in 0..ROUNDS {
        child.live(false);
        child.live(true);
        child.damage_and_repair(round);
        if round < 2 {
            child.lose_a_file(round);
        }
    }
}

/// A log of which something was damaged.
#[derive(Debug)]
pub(crate) struct Damaged {
    pub(crate) dir: PathBuf,
    /// First and last sequence before the damage.
    pub(crate) kept: (u64, u64),
    /// Nothing above was given out.
    pub(crate) given: u64,
}

/// What the child had said before it was killed; a file, since a kill takes no write back.
#[derive(Debug)]
pub(crate) struct Oracle {
    pub(crate) acknowledged: u64,
    /// Nothing from here on may be pruned.
    pub(crate) may_begin: u64,
    /// Ends that were not written to their end; each is to be found in quarantine.
    pub(crate) torn_tails: usize,
    /// The newest one.
    pub(crate) damaged: Option<Damaged>,
}

impl Oracle {
    fn open(home: &Path) -> File {
        let mut options = OpenOptions::new();
        let options = options.create(true).append(true);
        options.open(home.join("oracle")).expect("opens")
    }

    pub(crate) fn read(home: &Path) -> Self {
        let mut oracle = Self {
            acknowledged: 0,
            may_begin: 1,
            torn_tails: 0,
            damaged: None,
        };
        for line in fs::read_to_string(home.join("oracle"))
            .expect("reads")
            .lines()
        {
            let words: Vec<&str> = line.split(' ').collect();
            let number = |at: usize| words[at].parse::<u64>().expect("a number");
            match words[0] {
                "durable" => oracle.acknowledged = oracle.acknowledged.max(number(1)),
                "prune" => oracle.may_begin = number(1),
                "torn" => oracle.torn_tails += 1,
                "damaged" => {
                    oracle.damaged = Some(Damaged {
                        dir: words[4].into(),
                        kept: (number(1), number(2)),
                        given: number(3),
                    });
                }
                other => panic!("{other}"),
            }
        }
        oracle
    }
}

pub(crate) fn config(dir: &Path, policy: &str) -> WriterConfig {
    let sync = match policy {
        "interval" => SyncPolicy::Interval { ms: 50 },
        "batch" => SyncPolicy::default(),
        "always" => SyncPolicy::Always,
        other => panic!("policy {other}"),
    };
    WriterConfig::new(dir, 32 * 1024, sync, 7)
}

pub(crate) fn payload(seq: u64) -> Vec<u8> {
    seq.to_be_bytes().repeat(1 + (seq % 30) as usize)
}

pub(crate) fn append(writer: &mut Writer) {
    append_payload(writer, &payload(writer.next_seq()));
}

fn append_payload(writer: &mut Writer, payload: &[u8]) {
    let record = Record {
        kind: kind::DATA,
        stamp: 1,
        line: 0,
        channel: 7,
        venue_seq: 1,
        rx_ns: 1,
        payload,
    };
    writer.append(&record).expect("appends");
}

struct Child {
    home: PathBuf,
    oracle: File,
    policy: String,
    /// Where the parent kills; it is not armed with anything else.
    place: String,
    now_ns: u64,
}

impl Child {
    /// Opens, writes with and without failures of the device, prunes, and closes, or dies in the middle
    /// of a block.
    fn live(&mut self, dies: bool) {
        let dir = self.home.join(LOG);
        let (mut writer, _) = Writer::open(config(&dir, &self.policy)).expect("opens");
        self.poll(&mut writer, 0);
        for _ in 0..3 {
            for _ in 0..12 {
                append(&mut writer);
                self.acknowledge(&writer);
            }
            writer.flush().expect("writes");
            self.acknowledge(&writer);
            writer.sync().expect("syncs");
            self.acknowledge(&writer);
            self.poll(&mut writer, STATE_NS);
        }
        let next_seq = writer.next_seq();
        writer
            .append_hole(next_seq, next_seq + 3, HOLE_REASON)
            .expect("appends");
        writer.seal().expect("seals");
        self.acknowledge(&writer);
        self.fail_and_get_over_it(&mut writer);
        // More than half of a segment, so that the next one is prepared.
        writer.seal().expect("seals");
        (0..120).for_each(|_| append(&mut writer));
        writer.sync().expect("syncs");
        self.poll(&mut writer, STATE_NS);
        self.acknowledge(&writer);
        self.prune(&dir);
        if dies {
            (0..3).for_each(|_| append(&mut writer));
            writer.flush().expect("writes");
            drop(writer);
            tear(&dir);
            self.tell("torn");
        } else {
            let last_seq = writer.next_seq() - 1;
            writer.close().expect("closes");
            self.tell(&format!("durable {last_seq}"));
        }
    }

    /// STATE, a block, a sync and the name of a new segment fail once each.
    fn fail_and_get_over_it(&mut self, writer: &mut Writer) {
        append(writer);
        writer.sync().expect("syncs");
        self.fail_once("disk.write", 0);
        self.poll(writer, STATE_NS);
        for (place, after) in [("disk.write", 0), ("disk.sync", 0), ("disk.sync_dir", 1)] {
            (0..3).for_each(|_| append(writer));
            writer.flush().expect("writes");
            append(writer);
            self.fail_once(place, after);
            writer.seal().expect("goes on in a new segment");
            self.acknowledge(writer);
            self.now_ns += PEACE_NS;
            self.poll(writer, STATE_NS);
        }
    }

    fn fail_once(&self, place: &str, after: u32) {
        if place == self.place {
            return;
        }
        let actions = match after {
            0 => "1*return(EIO)".to_owned(),
            after => format!("{after}*off->1*return(EIO)"),
        };
        failpoints::set(place, &actions).expect("is understood");
    }

    fn prune(&mut self, dir: &Path) {
        let limits = Limits {
            max_bytes: 40_000,
            ..Limits::default()
        };
        let planned = prune(dir, &limits, None, false).expect("plans");
        self.tell(&format!("prune {}", planned.first_seq));
        prune(dir, &limits, None, true).expect("prunes");
    }

    /// A pruned log of which a segment, RETENTION and STATE are damaged; refused, then repaired.
    fn damage_and_repair(&mut self, round: u32) {
        let dir = self.home.join(format!("damaged.{round}"));
        let (mut writer, _) = Writer::open(config(&dir, &self.policy)).expect("opens");
        for _ in 0..6 {
            (0..10).for_each(|_| append(&mut writer));
            writer.seal().expect("seals");
        }
        append(&mut writer);
        writer.flush().expect("writes");
        drop(writer);
        let limits = Limits::default();
        prune(&dir, &limits, Some(21), true).expect("prunes");
        let (kept, given, dir_text) = ((21, 30), 61, dir.display().to_string());
        self.tell(&format!("damaged {} {} {given} {dir_text}", kept.0, kept.1));
        change(&dir.join(format!("{:020}.seg", 4)), |bytes| bytes[300] ^= 1);
        change(&dir.join(format!("{:020}.seg", 4)), |bytes| {
            bytes.truncate(bytes.len() - 64);
        });
        change(&dir.join("RETENTION"), |bytes| bytes[40] ^= 1);
        change(&dir.join("STATE"), |bytes| bytes.truncate(bytes.len() - 1));
        let open = |mode| Writer::open_with(config(&dir, &self.policy), mode);
        let refused = open(RecoveryMode::Tail);
        assert!(
            matches!(refused, Err(JournalError::Refused { .. })),
            "{refused:?}"
        );
        drop(open(RecoveryMode::PointInTime).expect("repairs"));
    }

    /// The file that is written vanishes, and memory has not all of it: a hole.
    fn lose_a_file(&mut self, round: u32) {
        let dir = self.home.join(format!("lost.{round}"));
        let mut config = config(&dir, "always");
        config.segment_size_bytes = 8 << 20;
        let (mut writer, _) = Writer::open(config).expect("opens");
        self.poll(&mut writer, 0);
        while writer.counters().bytes < KEPT_BYTES {
            append_payload(&mut writer, &[7; 50_000]);
        }
        writer.sync().expect("syncs");
        fs::remove_file(dir.join(format!("{:020}.seg", 1))).expect("removes");
        self.poll(&mut writer, LOOK_NS);
        self.poll(&mut writer, LOOK_NS);
        assert!(writer.counters().holes > 0, "{writer:?}");
        drop(writer);
        fs::remove_dir_all(dir).expect("removes");
    }

    fn poll(&mut self, writer: &mut Writer, after_ns: u64) {
        self.now_ns += after_ns;
        writer.poll(self.now_ns).expect("polls");
    }

    fn acknowledge(&mut self, writer: &Writer) {
        self.tell(&format!("durable {}", writer.watermarks().durable));
    }

    fn tell(&mut self, line: &str) {
        let line = format!("{line}\n");
        self.oracle.write_all(line.as_bytes()).expect("writes");
    }
}

/// What a write that was cut off leaves behind the last block, and a repair that had just begun.
fn tear(dir: &Path) {
    let names = fs::read_dir(dir).expect("lists");
    let paths = names.map(|entry| entry.expect("lists").path());
    let segments = paths.filter(|path| path.extension().is_some_and(|it| it == "seg"));
    change(&segments.max().expect("a segment"), |bytes| {
        let end = bytes.iter().rposition(|byte| *byte != 0).expect("data") + 1;
        let end = end.next_multiple_of(8);
        bytes[end..end + 40].fill(0x55);
    });
    fs::write(dir.join("REPAIR.tmp"), b"half").expect("writes");
}

fn change(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).expect("reads");
    change(&mut bytes);
    fs::write(path, bytes).expect("writes");
}

const ROUNDS: u32 = 7;
/// Behind this STATE is due.
const STATE_NS: u64 = 1_100_000_000;
/// Behind this the files of the log are looked for.
const LOOK_NS: u64 = 2_100_000_000;
/// Behind this a failure is not a repeated one.
const PEACE_NS: u64 = 11_000_000_000;
/// More than a writer of policy `always` keeps in memory.
const KEPT_BYTES: u64 = 5 << 20;
