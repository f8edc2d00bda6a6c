//! A full disk below the journal (R11): what is retained is exported all the same.

use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;
use tickdeck_journal::read_pins;
use tickdeck_testbed::skip;

use crate::peer::{Copy, Peer, Said};
use crate::plant::{Plant, wait_until};

/// A small file system, unmounted when dropped.
struct Small(PathBuf);

impl Small {
    fn mount(path: PathBuf) -> Self {
        fs::create_dir_all(&path).expect("creates");
        let status = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=64k", "tmpfs"])
            .arg(&path)
            .status();
        assert!(status.expect("mount runs").success());
        Self(path)
    }

    fn fill(&self) {
        let mut ballast = File::create(self.ballast()).expect("creates");
        let error = loop {
            if let Err(error) = ballast.write_all(&[1; 4096]) {
                break error;
            }
        };
        assert_eq!(error.kind(), ErrorKind::StorageFull, "{error}");
    }

    fn ballast(&self) -> PathBuf {
        self.0.join("ballast")
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        match Command::new("umount").arg(&self.0).status() {
            Ok(status) if status.success() => {}
            other => eprintln!("left behind: {}: {other:?}", self.0.display()),
        }
    }
}

fn pinned(journal: &Path) -> Option<u64> {
    let pins = read_pins(journal).expect("reads");
    pins.iter()
        .find(|pin| pin.client == "a")
        .map(|pin| pin.acked_seq)
}

/// The pin of a retained subscriber cannot be written: it is served and acknowledges, the failures
/// are counted, the pin before holds, and the newest one is written as soon as there is room.
#[test]
fn a_pin_that_cannot_be_written_ends_nobody() {
    if !rustix::process::geteuid().is_root() {
        skip(
            "a_pin_that_cannot_be_written_ends_nobody",
            "it needs root for a mount",
        );
        return;
    }
    let mut plant = Plant::new();
    plant.append(20, 40);
    let small = Small::mount(plant.journal().join("pins"));
    let settings = json!({"subscribers": [
        {"id": "a", "slow_policy": "retain", "retain_max_bytes": 0, "retain_max_age_s": 0,
         "allow_written": false, "max_connections": 1}]});
    let mut exporter = plant.export_on_unix(settings);
    let mut peer = Peer::on_unix(&plant.path("socket"));
    let mut copy = Copy::default();
    assert!(matches!(peer.resume(Some("a"), &mut copy), Said::SubOk(_)));
    peer.follow_to(20, &mut copy);
    wait_until("the pin is written", || {
        pinned(&plant.journal()) == Some(20)
    });
    small.fill();
    plant.append(20, 40);
    peer.follow_to(40, &mut copy);
    wait_until("a pin is not written", || {
        exporter.stat("tcp_export_pin_failures_total") > 0
    });
    assert_eq!(pinned(&plant.journal()), Some(20), "the one before holds");
    plant.append(20, 40);
    peer.follow_to(60, &mut copy);
    assert_eq!((copy.end, copy.again, copy.gaps.len()), (60, 0, 0));
    wait_until("the ACK is counted", || {
        exporter.rows().iter().any(|row| row["acked_seq"] == 60)
    });
    // Tried at least once: that it is written below is another try.
    let failures = exporter.stat("tcp_export_pin_failures_total");
    wait_until("the newest pin is not written", || {
        exporter.stat("tcp_export_pin_failures_total") > failures
    });
    fs::remove_file(small.ballast()).expect("removes");
    wait_until("the newest pin is written", || {
        pinned(&plant.journal()) == Some(60)
    });
    drop(peer);
    drop(exporter);
}
