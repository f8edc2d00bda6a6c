//! Who lost it: the pure part of the ladder.

use std::fmt;

use super::{Count, Layer};

/// The answer of the ladder for one gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::rx) enum Verdict {
    /// This layer lost most of what was lost on this host.
    Lost {
        layer: Layer,
        /// How much, in the unit of its counters.
        lost: u64,
    },
    /// Every layer could be read and none lost anything: not lost on this host.
    Upstream,
    /// No layer that could be read lost anything, but this one could not be read.
    Unknown { unreadable: Layer },
}

/// What each layer lost between two readings; `None` where it could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::rx) struct Losses([Option<u64>; Layer::ALL.len()]);

impl Losses {
    /// The growth of the loss counters from `before` to `after`; both hold the same counters in the
    /// same order, and no layer is in more than one pair of readings but to add counters to it.
    pub(in crate::rx) fn between(readings: &[(&[Count], &[Count])]) -> Self {
        let mut losses = [Some(0_u64); Layer::ALL.len()];
        for (before, after) in readings {
            assert_eq!(before.len(), after.len(), "two readings of one kind");
            for (old, new) in before.iter().zip(*after).filter(|(_, new)| new.is_loss) {
                let lost = &mut losses[new.layer as usize];
                *lost = lost
                    .zip(new.grown_since(old))
                    .map(|(sum, grown)| sum + grown);
            }
        }
        let readings = || readings.iter();
        let grown = |layer, counter| {
            let pairs = readings().flat_map(|(before, after)| before.iter().zip(*after));
            let of_it = |(_, new): &(&Count, &Count)| new.layer == layer && new.counter == counter;
            let mut found = pairs.filter(of_it);
            found.next().and_then(|(old, new)| new.grown_since(old))
        };
        // An interface's `rx_dropped` counts what the layers above refused to take as well: the
        // backlog always, an XSK with some drivers (veth).
        let [softnet, xsk] = [Layer::Softnet, Layer::Xsk].map(|layer| losses[layer as usize]);
        let above = softnet.unwrap_or(0) + xsk.unwrap_or(0);
        subtract(
            &mut losses,
            Layer::Nic,
            grown(Layer::Nic, "rx_dropped"),
            Some(above),
        );
        Self(losses)
    }

    /// The verdict on a gap: the layer that lost most, of equals the one that a packet meets first.
    /// Which of several losses made the gap cannot be known; the others are in [`Losses::grown`].
    pub(in crate::rx) fn verdict(&self) -> Verdict {
        let causes = || {
            Layer::ALL
                .into_iter()
                .filter(|layer| layer.can_cause_a_gap())
        };
        let worst = causes().rev().max_by_key(|layer| self.of(*layer));
        if let Some((layer, lost)) = worst.and_then(|layer| Some((layer, self.of(layer)?)))
            && lost > 0
        {
            return Verdict::Lost { layer, lost };
        }
        match causes().find(|layer| self.of(*layer).is_none()) {
            Some(unreadable) => Verdict::Unknown { unreadable },
            None => Verdict::Upstream,
        }
    }

    /// With another number for one layer, from whoever knows better than its counters.
    pub(in crate::rx) fn with(mut self, layer: Layer, lost: u64) -> Self {
        self.0[layer as usize] = Some(lost);
        self
    }

    /// What a layer lost.
    pub(in crate::rx) fn of(&self, layer: Layer) -> Option<u64> {
        self.0[layer as usize]
    }

    /// The layers that lost something, in order.
    pub(in crate::rx) fn grown(&self) -> impl Iterator<Item = (Layer, u64)> {
        let lost = |layer| Some((layer, self.of(layer)?));
        Layer::ALL
            .into_iter()
            .filter_map(lost)
            .filter(|(_, lost)| *lost > 0)
    }
}

/// Takes what two counters have both counted from a layer's losses.
fn subtract(losses: &mut [Option<u64>], layer: Layer, one: Option<u64>, other: Option<u64>) {
    if let (Some(lost), Some(one), Some(other)) = (&mut losses[layer as usize], one, other) {
        *lost -= one.min(other);
    }
}

impl Verdict {
    /// The code in the gap table; 0 is no verdict. The words are in
    /// `tickdeck_wire::ledger` and in the daemon's `stats/types.py`.
    pub(in crate::rx) fn code(self) -> u64 {
        match self {
            Self::Upstream => 1,
            Self::Unknown { .. } => 2,
            Self::Lost { layer, .. } => FIRST_LAYER_CODE + layer as u64,
        }
    }

    /// The number beside the code.
    pub(in crate::rx) fn count(self) -> u64 {
        match self {
            Self::Lost { lost, .. } => lost,
            Self::Upstream | Self::Unknown { .. } => 0,
        }
    }

    /// The word of the code: a layer's name, `upstream` or `unknown`.
    pub(in crate::rx) fn name(self) -> &'static str {
        match self {
            Self::Lost { layer, .. } => layer.name(),
            Self::Upstream => "upstream",
            Self::Unknown { .. } => "unknown",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost { layer, lost } => write!(formatter, "{} {lost}", layer.name()),
            Self::Upstream => formatter.write_str("upstream: not lost on this host"),
            Self::Unknown { unreadable } => {
                write!(
                    formatter,
                    "unknown: {} could not be read",
                    unreadable.name()
                )
            }
        }
    }
}

const FIRST_LAYER_CODE: u64 = 3;

#[cfg(test)]
mod tests;
