//! A file system that becomes read-only under the writer (R14).

use std::time::{Duration, Instant};

use std::fs;

use tempfile::TempDir;
use tickdeck_journal::{Condition, Event, Reader, SyncPolicy, Writer, WriterConfig};

use crate::mounts::{Mount, may_mount, run, text};
use crate::writing::{Caller, promised};

/// ext4 meets an error and goes read-only: the writer shows it within a second, keeps taking
/// records, and what it had acknowledged stays readable.
#[test]
fn a_read_only_file_system_is_shown() {
    if !may_mount("a_read_only_file_system_is_shown") {
        return;
    }
    let home = TempDir::new().expect("a directory");
    let image = home.path().join("image");
    let file = fs::File::create(&image).expect("creates");
    file.set_len(64 << 20).expect("extends");
    run("mkfs.ext4", &["-q", "-F", text(&image)]).expect("makes a file system");
    let mount = Mount::image(&image, &home.path().join("mounted"), "errors=remount-ro");
    let dir = mount.path().join("log");
    let config = WriterConfig::new(&dir, 1 << 20, SyncPolicy::batch(5), 1);
    let (writer, _) = Writer::open(config).expect("opens");
    let mut caller = Caller::new(writer, 1000);
    for _ in 0..100 {
        caller.offer();
    }
    caller.writer.sync().expect("syncs");
    let device = run("findmnt", &["-n", "-o", "SOURCE", text(mount.path())]).expect("is mounted");
    let device = device.trim().trim_start_matches("/dev/");
    fs::write(format!("/sys/fs/ext4/{device}/trigger_fs_error"), "1").expect("breaks it");

    let broken = Instant::now();
    let mut shown = Vec::new();
    while !shown.contains(&Condition::ReadOnly) {
        caller.offer();
        caller.poll();
        while let Some(event) = caller.writer.take_event() {
            if let Event::Failed { condition, .. } = event {
                shown.push(condition);
            }
        }
        let most = promised(Duration::from_secs(1));
        assert!(broken.elapsed() < most, "{shown:?}");
    }
    assert_eq!(caller.writer.condition(), Condition::ReadOnly);
    assert_eq!(caller.refused, 0, "memory takes them");
    assert!(caller.writer.watermarks().durable >= 100);
    let mut reader = Reader::open(&dir).expect("reads");
    for seq in 1..=100 {
        assert_eq!(
            reader.next().expect("whole").map(|entry| entry.seq),
            Some(seq)
        );
    }
    assert!(caller.writer.close().is_err(), "it cannot end well");
}
