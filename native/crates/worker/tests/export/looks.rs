//! What the exporter knows of the log when it judges, and when it cannot look.

use std::fs;
use std::os::unix::fs::symlink;

use serde_json::json;
use tickdeck_export::message::ErrorCode;

use crate::peer::{Copy, Peer, Said};
use crate::plant::{Plant, wait_until};

/// A subscriber that was told an epoch and comes again at once is judged by a log that has it. By a
/// sight of the log from before, it would be told FORKED, and would throw its copy away.
#[test]
fn an_epoch_that_has_just_begun_is_known() {
    let mut plant = Plant::new();
    plant.append(10, 40);
    let _exporter = plant.export_on_unix(json!({"max_subscribers": 20}));
    for round in 0..20 {
        plant = plant.reopen();
        let mut copy = Copy {
            first: 1,
            end: 10,
            epoch: plant.writer.writer_epoch(),
            ..Copy::default()
        };
        let told = copy.epoch;
        let mut peer = Peer::on_unix(&plant.path("socket"));
        // Another each time: that the one before has left may not be known yet.
        let said = peer.resume(Some(&format!("client-{round}")), &mut copy);
        assert!(
            matches!(&said, Said::SubOk(ok) if ok.epoch == told),
            "told epoch {told}: {said:?}"
        );
        drop(peer);
    }
}

/// A file of the log that cannot be read for a while ends nobody: what was seen last stays, and the
/// receiver's watermarks go on.
#[test]
fn a_look_that_fails_ends_nobody() {
    let mut plant = Plant::new();
    plant.append(10, 40);
    let exporter = plant.export_on_unix(json!({}));
    let mut peer = Peer::on_unix(&plant.path("socket"));
    let mut copy = Copy::default();
    peer.resume(Some("a"), &mut copy);
    peer.follow_to(10, &mut copy);
    let state = plant.journal().join("STATE");
    fs::remove_file(&state).expect("removes");
    symlink("STATE", &state).expect("links to itself");
    wait_until("a look fails", || {
        exporter.stat("tcp_export_look_failures_total") > 1
    });
    plant.append(10, 40);
    peer.follow_to(20, &mut copy);
    assert_eq!((copy.end, copy.gaps.len()), (20, 0));
}

/// A log that cannot be looked at: who is served goes on, a newcomer is told to come again, and the age
/// of the last look is told.
#[test]
fn an_old_sight_is_told() {
    let mut plant = Plant::new();
    plant.append(10, 40);
    let patience = json!({"heartbeat_ms": 100, "heartbeat_timeout_ms": 500});
    let exporter = plant.export_on_unix(patience);
    let away = plant.path("away");
    fs::rename(plant.journal(), &away).expect("moves");
    wait_until("the age grows", || {
        exporter.stat("tcp_export_sight_age_ms") > 2_500
    });
    let mut peer = Peer::on_unix(&plant.path("socket"));
    let said = peer.resume(Some("a"), &mut Copy::default());
    assert!(
        matches!(&said, Said::Err(refused) if refused.code == ErrorCode::Busy),
        "{said:?}"
    );
    fs::rename(&away, plant.journal()).expect("moves back");
    wait_until("it is looked at again", || {
        exporter.stat("tcp_export_sight_age_ms") < 1_500
    });
    let mut peer = Peer::on_unix(&plant.path("socket"));
    let said = peer.resume(Some("a"), &mut Copy::default());
    assert!(matches!(&said, Said::SubOk(_)), "{said:?}");
}
