//! How fast records can be appended here: `append_rate DIR [RECORDS] [PAYLOAD_BYTES]`.
//!
//! For orientation only: one run, no baseline beside it. The directory must not exist.

use std::error::Error;
use std::path::PathBuf;
use std::time::Instant;
use std::{env, fs};

use tickdeck_journal::{Record, SyncPolicy, Writer, WriterConfig, kind, verify};

/// Records between two polls, as a busy journal thread makes them.
const POLL_EVERY: u64 = 256;

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = env::args().skip(1);
    let dir = PathBuf::from(args.next().ok_or("wanted: DIR [RECORDS] [PAYLOAD_BYTES]")?);
    let records: u64 = args.next().map_or(Ok(4_000_000), |text| text.parse())?;
    let payload = vec![0x5A; args.next().map_or(Ok(64), |text| text.parse())?];
    let interval = SyncPolicy::Interval { ms: 50 };
    for sync in [
        SyncPolicy::Os,
        interval,
        SyncPolicy::default(),
        SyncPolicy::Always,
    ] {
        run(dir.clone(), sync, records, &payload)?;
    }
    Ok(())
}

fn run(dir: PathBuf, sync: SyncPolicy, records: u64, payload: &[u8]) -> Result<(), Box<dyn Error>> {
    let config = WriterConfig::new(&dir, 64 << 20, sync, 1);
    let (mut writer, report) = Writer::open(config)?;
    if !report.created {
        return Err(format!("{} exists", dir.display()).into());
    }
    let (mut syncs, mut sync_ns) = (0_u64, 0);
    let begin = Instant::now();
    for number in 0..records {
        writer.append(&Record {
            kind: kind::DATA,
            stamp: 1,
            line: 0,
            channel: 1,
            venue_seq: number,
            rx_ns: number,
            payload,
        })?;
        if number % POLL_EVERY == 0 {
            writer.poll(u64::try_from(begin.elapsed().as_nanos())?)?;
            writer.drain_sync_durations(|ns| {
                syncs += 1;
                sync_ns += ns;
            });
        }
    }
    let appended = begin.elapsed();
    let bytes = writer.counters().bytes;
    writer.close()?;
    let closed = begin.elapsed();
    let checking = Instant::now();
    assert!(
        verify(&dir, &mut |_| {})?.is_whole(),
        "what was written verifies"
    );
    println!(
        "{:<42} {:6.2} M records/s, {:7.1} MB/s, {:4.0} ns/record; {syncs} syncs of {:.0} us; \
         closed after {:.2} s; verified at {:.0} MB/s",
        sync.to_string(),
        records as f64 / appended.as_secs_f64() / 1e6,
        bytes as f64 / appended.as_secs_f64() / 1e6,
        appended.as_nanos() as f64 / records as f64,
        sync_ns as f64 / syncs.max(1) as f64 / 1e3,
        closed.as_secs_f64(),
        bytes as f64 / checking.elapsed().as_secs_f64() / 1e6,
    );
    fs::remove_dir_all(&dir)?;
    Ok(())
}
