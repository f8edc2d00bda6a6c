//! After a restart of the service all begins again; what is older is refused.

use tickdeck_recovery::eobi::Trust;
use tickdeck_sim::eobi::{Channel, SessionConfig};
use tickdeck_wire::eobi::Packet;

use crate::world::{BOTH, World};

fn config(seed: u64) -> SessionConfig {
    SessionConfig {
        seed,
        steps: 1_200,
        restart_at: Some(600),
        ..SessionConfig::default()
    }
}

/// Proves that a restart makes nothing suspect, also in the middle of a recovery, and that the books
/// behind it are the session's.
#[test]
fn a_restart_begins_anew() {
    for seed in 0..6 {
        let mut world = World::new(config(seed));
        let product = world.session.products()[0].market_segment_id();
        // Lost until the restart: the product is suspect when it comes.
        let mut restarted = false;
        world.go_on(u64::MAX, |timed, packet| {
            restarted |= packet.resets();
            let is_lost = !restarted
                && timed.channel == Channel::Incremental
                && packet.market_segment_id() == product
                && packet.sequence() % 7 == 0;
            if is_lost { BOTH } else { 0 }
        });
        world.assert_all_good();
        assert_eq!(
            (world.books.resets, world.replayer.counters().restarts),
            (1, 1)
        );
        assert_eq!(world.collector.counters().restarts, 1);
        assert_eq!(world.replayer.counters().feed_inconsistent, 0);
    }
}

/// Proves that a cycle from before the restart is never loaded behind it, even by a product that
/// waits for one: neither as a cycle nor packet by packet.
#[test]
fn old_cycles_are_refused() {
    let mut refused = 0;
    for seed in 0..6 {
        let mut world = World::new(config(seed));
        let product = world.session.products()[0].market_segment_id();
        let mut restarted = false;
        while !restarted {
            world.go_on(1, |timed, packet| {
                let is_incremental = timed.channel == Channel::Incremental;
                restarted = is_incremental && packet.resets();
                0
            });
        }
        let old = world.cycles.clone();
        let old = old.iter().rfind(|cycle| cycle.market_segment_id == product);
        let old = old.expect("a cycle from before").clone();
        // The product's first messages are lost, so it is suspect and wants a cycle.
        let mut lost = 0;
        world.go_on(300, |timed, packet| {
            let is_lost = timed.channel == Channel::Snapshot
                || (packet.market_segment_id() == product && lost < 2);
            // The partition is odd, so line A brings the second copy.
            lost += u64::from(is_lost && timed.channel == Channel::Incremental && timed.line == 0);
            if is_lost { BOTH } else { 0 }
        });
        assert!(matches!(
            world.replayer.trust(product),
            Some(Trust::Suspect { .. })
        ));
        assert!(!world.on_cycle(&old));
        for bytes in &old.packets {
            let packet = Packet::parse(bytes, world.config.release).expect("a packet");
            world.on_snapshot(0, &packet);
        }
        assert!(matches!(
            world.replayer.trust(product),
            Some(Trust::Suspect { .. })
        ));
        refused += world.replayer.counters().cycles_stale;
        world.finish();
        world.assert_all_good();
    }
    assert!(refused >= 6);
}
