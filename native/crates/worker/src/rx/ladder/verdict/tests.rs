use proptest::prelude::*;
use tickdeck_net::PathCounters;

use super::*;
use crate::rx::ladder::own::Own;

const LAYERS: usize = Layer::ALL.len();

/// One loss counter and one other per layer.
fn reading(losses: [Option<u64>; LAYERS]) -> Vec<Count> {
    let pair = |layer: Layer| {
        let lost = losses[layer as usize];
        let seen = lost.map(|lost| lost.wrapping_mul(3));
        [
            Count::loss(layer, "lost", "packets", lost),
            Count::info(layer, "seen", "packets", seen),
        ]
    };
    Layer::ALL.into_iter().flat_map(pair).collect()
}

fn between(before: [Option<u64>; LAYERS], after: [Option<u64>; LAYERS]) -> Losses {
    Losses::between(&[(&reading(before), &reading(after))])
}

fn grown_at(layer: Layer, lost: u64) -> [Option<u64>; LAYERS] {
    let mut after = [Some(0); LAYERS];
    after[layer as usize] = Some(lost);
    after
}

/// Each layer before the merge's output is named when it alone lost something; a loss behind the
/// merge makes no gap.
#[test]
fn the_layer_that_lost_is_named() {
    for layer in Layer::ALL {
        let losses = between([Some(0); LAYERS], grown_at(layer, 812));
        let expected = match layer {
            Layer::Ring | Layer::Journal => Verdict::Upstream,
            _ => Verdict::Lost { layer, lost: 812 },
        };
        assert_eq!(losses.verdict(), expected);
        assert_eq!(losses.grown().collect::<Vec<_>>(), [(layer, 812)]);
    }
    let verdict = between([Some(0); LAYERS], grown_at(Layer::Socket, 812)).verdict();
    assert_eq!(
        (verdict.to_string(), verdict.code()),
        ("socket 812".to_owned(), 8)
    );
}

/// Silence acquits only when every layer was heard.
#[test]
fn upstream_needs_every_layer() {
    let still = [Some(7); LAYERS];
    assert_eq!(between(still, still).verdict(), Verdict::Upstream);
    let mut deaf = still;
    deaf[Layer::Softnet as usize] = None;
    for (before, after) in [(deaf, still), (still, deaf)] {
        let verdict = between(before, after).verdict();
        let unreadable = Layer::Softnet;
        assert_eq!(verdict, Verdict::Unknown { unreadable });
        assert_eq!(verdict.to_string(), "unknown: softnet could not be read");
    }
}

/// A frame that the kernel counts in two places is one loss.
#[test]
fn nothing_counts_twice() {
    let host = |dropped: u64, backlog: u64| {
        [
            Count::loss(Layer::Nic, "rx_dropped", "packets", dropped),
            Count::loss(Layer::Softnet, "dropped", "packets", backlog),
        ]
    };
    let of = |dropped: u64, backlog: u64| {
        Losses::between(&[(&host(5, 1), &host(5 + dropped, 1 + backlog))])
    };
    let layer = Layer::Softnet;
    assert_eq!(of(30, 30).verdict(), Verdict::Lost { layer, lost: 30 });
    assert_eq!(of(30, 30).of(Layer::Nic), Some(0));
    assert_eq!(of(31, 10).of(Layer::Nic), Some(21));
    let mut own = Own::default();
    let before = own.counts();
    own.paths = PathCounters {
        xsk_dropped: 1,
        xsk_fill_ring_empty: 39,
        xsk_ring_full: 2,
        ..PathCounters::default()
    };
    let losses = Losses::between(&[(&before, &own.counts()), (&host(0, 0), &host(50, 5))]);
    assert_eq!(losses.of(Layer::Xsk), Some(42));
    assert_eq!(losses.of(Layer::Nic), Some(3));
}

fn values() -> impl Strategy<Value = [Option<u64>; LAYERS]> {
    prop::array::uniform10(prop::option::weighted(0.9, 0..1_000_u64))
}

proptest! {
    /// For all readings: a named layer can make a gap, lost what is said and no other lost more;
    /// upstream is said exactly when all could be read and none grew; a counter that starts again
    /// has lost nothing.
    #[test]
    fn verdicts_follow_the_counters(before in values(), after in values()) {
        let grown = |layer: Layer| {
            let at = layer as usize;
            Some(after[at]?.saturating_sub(before[at]?))
        };
        let causes: Vec<_> =
            Layer::ALL.into_iter().filter(|layer| layer.can_cause_a_gap()).collect();
        let most = causes.iter().filter_map(|layer| grown(*layer)).max().unwrap_or(0);
        let losses = between(before, after);
        match losses.verdict() {
            Verdict::Lost { layer, lost } => {
                prop_assert!(layer.can_cause_a_gap() && lost > 0);
                prop_assert_eq!((grown(layer), lost), (Some(lost), most));
                let earlier = causes.iter().take_while(|other| **other < layer);
                prop_assert!(earlier.filter_map(|other| grown(*other)).all(|other| other < lost));
            }
            Verdict::Upstream => prop_assert!(causes.iter().all(|layer| grown(*layer) == Some(0))),
            Verdict::Unknown { unreadable } => {
                prop_assert_eq!((most, grown(unreadable)), (0, None));
            }
        }
        for (layer, lost) in losses.grown() {
            prop_assert_eq!(grown(layer), Some(lost));
        }
    }
}

/// The ledger in the journal has the word of each code that a verdict can have.
#[test]
fn the_ledger_has_the_words() {
    use tickdeck_wire::ledger::DROP_VERDICTS;

    let causes = Layer::ALL
        .into_iter()
        .filter(|layer| layer.can_cause_a_gap());
    let unreadable = Layer::Nic;
    let verdicts = [Verdict::Upstream, Verdict::Unknown { unreadable }];
    let lost = causes.map(|layer| Verdict::Lost { layer, lost: 1 });
    let words: Vec<&str> = verdicts
        .into_iter()
        .chain(lost)
        .map(Verdict::name)
        .collect();
    assert_eq!(words, DROP_VERDICTS[1..]);
    assert_eq!(Verdict::Upstream.code(), 1);
}
