//! Whom an exporter tells to cut its copy, when no receiver says how far the log goes.

use std::fs;
use std::path::PathBuf;

use serde_json::json;
use tickdeck_export::message::ErrorCode;
use tickdeck_journal::checkpoint;

use crate::peer::{Copy, Peer, Said};
use crate::plant::{Plant, wait_until};

/// What a copy up to `end` is told.
fn verdict(plant: &Plant, end: u64) -> Result<u64, (ErrorCode, u64)> {
    let mut copy = Copy {
        first: 1,
        end,
        epoch: plant.writer.writer_epoch(),
        ..Copy::default()
    };
    let mut peer = Peer::on_unix(&plant.path("socket"));
    match peer.resume(None, &mut copy) {
        Said::SubOk(ok) => Ok(ok.start_seq),
        Said::Err(refused) => Err((refused.code, refused.seq)),
        other => panic!("{other:?}"),
    }
}

/// A log up to 300 whose checkpoint is as it was at 100, or older.
fn behind_its_checkpoint() -> Plant {
    let mut plant = Plant::with_segments(16 * 1024);
    plant.append(100, 40);
    let state = plant.journal().join("STATE");
    let old = fs::read(&state).expect("reads");
    for _ in 0..20 {
        plant.append(10, 40);
    }
    fs::write(&state, old).expect("writes");
    plant
}

/// The exporter came up while the receiver is away, and the checkpoint is as old as it may be: a copy
/// that the log holds is gone on with; one that goes beyond the log is told where to cut.
#[test]
fn a_copy_ahead_of_the_checkpoint_is_none_too_long() {
    let mut plant = behind_its_checkpoint();
    plant.lose_receiver();
    let exporter = plant.export_on_unix(json!({}));
    for end in [100, 101, 250, 299, 300] {
        assert_eq!(verdict(&plant, end), Ok(end + 1));
    }
    let forked = Err((ErrorCode::Forked, 301));
    assert_eq!(verdict(&plant, 301), forked);
    assert_eq!(verdict(&plant, 9_000), forked);

    // Neither does a receiver that recovers its log say that it is empty.
    drop(exporter);
    plant.begin_receiver();
    let _exporter = plant.export_on_unix(json!({}));
    assert_eq!(verdict(&plant, 300), Ok(301));
    assert_eq!(verdict(&plant, 301), forked);
    plant.publish();
    assert_eq!(verdict(&plant, 300), Ok(301));
    assert_eq!(verdict(&plant, 301), forked);
}

/// Where a crash has left half a block, more may come of it: nobody is told to cut anything until a
/// receiver has recovered the log. What is whole is served.
#[test]
fn a_torn_end_forks_nobody() {
    let mut plant = behind_its_checkpoint();
    let state = plant.journal().join("STATE");
    let seen = |plant: &Plant| checkpoint(plant.journal()).expect("reads");
    let old = fs::read(&state).expect("reads");
    wait_until("a checkpoint is written", || {
        plant.sync();
        plant.append(1, 40);
        seen(&plant).is_some_and(|state| state.durable_seq > 300)
    });
    let newest_state = fs::read(&state).expect("reads");
    fs::write(&state, old).expect("writes");
    plant.lose_receiver();
    let end = plant.durable();
    let files = fs::read_dir(plant.journal()).expect("lists");
    let files = files.map(|entry| entry.expect("lists").path());
    let is_segment = |path: &PathBuf| path.extension().is_some_and(|it| it == "seg");
    let mut segments: Vec<_> = files.filter(is_segment).collect();
    segments.sort();
    let newest = segments.last().expect("there is one");
    let bytes = fs::read(newest).expect("reads");
    let last = bytes.iter().rposition(|byte| *byte != 0).expect("has data");
    let mut torn = bytes;
    torn[last] ^= 1;
    fs::write(newest, torn).expect("writes");
    let exporter = plant.export_on_unix(json!({}));
    assert_eq!(verdict(&plant, 100), Ok(101));
    for end in [end, end + 1, 9_000] {
        assert_eq!(verdict(&plant, end), Err((ErrorCode::Busy, 0)), "{end}");
    }
    drop(exporter);

    // Without its newest segments the log ends cleanly; a checkpoint that names a later sequence
    // knows better.
    for path in &segments[segments.len() - 2..] {
        fs::remove_file(path).expect("removes");
    }
    let exporter = plant.export_on_unix(json!({}));
    assert_eq!(
        verdict(&plant, 9_000).expect_err("goes beyond").0,
        ErrorCode::Forked
    );
    drop(exporter);
    fs::write(&state, &newest_state).expect("writes");
    let _exporter = plant.export_on_unix(json!({}));
    assert_eq!(verdict(&plant, 9_000), Err((ErrorCode::Busy, 0)));
}
