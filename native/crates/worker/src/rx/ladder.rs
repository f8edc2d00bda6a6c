//! The drop ladder: at which layer packets were lost, from the counters of every layer that a
//! packet meets on its way.
//!
//! ```text
//! nic → softnet → [steering program → XSK | packet ring] → socket → receiver → arbiter → ring → journal
//! ```
//!
//! - [`verdict`]: the pure part: two readings in, the layer that lost in between out.
//! - [`own`]: the counters that the receive thread can read: its paths, its merge, its ring.
//! - [`host`]: those of the host: network cards and the backlog behind them.
//! - [`history`]: readings of the last minute, so that one is older than any gap's loss.
//! - [`link`]: the queues between the receive thread, which has no time for them, and the watcher.
//! - [`watch`]: the watcher, on the main thread; [`report`]: what it tells operators.
//!
//! A verdict compares the reading at the gap with the newest one that is older than the last packet
//! in front of the gap. Readings are one second apart, so what a layer lost in the second before the
//! gap counts too; and the counters of the host count everybody's packets. A layer that lost nothing
//! is acquitted; "upstream" is said only when every layer could be read and none lost anything.

pub(super) mod history;
pub(super) mod host;
pub(super) mod link;
pub(super) mod own;
pub(super) mod report;
pub(super) mod verdict;
pub(super) mod watch;

/// A layer, in the order in which a packet meets them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Layer {
    /// The network cards of the lines' interfaces.
    Nic,
    /// The kernel's backlog between driver and stack, all cores.
    Softnet,
    /// The steering program of an AF_XDP path. It loses nothing: it passes on.
    XdpProgram,
    /// The AF_XDP socket.
    Xsk,
    /// The ring of a packet socket.
    PacketRing,
    /// The UDP sockets.
    Socket,
    /// What the receiver and the first look at a packet refused.
    Receiver,
    /// The merge.
    Arbiter,
    /// The ring to the other workers. Behind the merge: never the cause of a gap.
    Ring,
    /// The journal. Behind the merge: never the cause of a gap.
    Journal,
}

impl Layer {
    /// All of them, in order.
    pub(super) const ALL: [Self; 10] = [
        Self::Nic,
        Self::Softnet,
        Self::XdpProgram,
        Self::Xsk,
        Self::PacketRing,
        Self::Socket,
        Self::Receiver,
        Self::Arbiter,
        Self::Ring,
        Self::Journal,
    ];

    /// Its name in metrics, reports and verdicts.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Nic => "nic",
            Self::Softnet => "softnet",
            Self::XdpProgram => "xdp_program",
            Self::Xsk => "xsk",
            Self::PacketRing => "packet_ring",
            Self::Socket => "socket",
            Self::Receiver => "receiver",
            Self::Arbiter => "arbiter",
            Self::Ring => "ring",
            Self::Journal => "journal",
        }
    }

    /// Whether a gap that the merge saw can come from a loss here.
    pub(super) fn can_cause_a_gap(self) -> bool {
        self < Self::Ring
    }
}

/// One counter of a layer at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) layer: Layer,
    /// Its name, in the words of whoever counts.
    pub(super) counter: &'static str,
    /// What is counted.
    pub(super) unit: &'static str,
    /// Whether each one is a loss; the others explain.
    pub(super) is_loss: bool,
    /// `None` when it could not be read.
    pub(super) value: Option<u64>,
}

impl Count {
    /// Counts losses.
    pub(super) fn loss(
        layer: Layer,
        counter: &'static str,
        unit: &'static str,
        value: impl Into<Option<u64>>,
    ) -> Self {
        Self {
            layer,
            counter,
            unit,
            is_loss: true,
            value: value.into(),
        }
    }

    /// Counts what is no loss by itself.
    pub(super) fn info(
        layer: Layer,
        counter: &'static str,
        unit: &'static str,
        value: impl Into<Option<u64>>,
    ) -> Self {
        Self {
            is_loss: false,
            ..Self::loss(layer, counter, unit, value)
        }
    }

    /// Growth since an earlier reading of the same counter; `None` when either could not be read.
    /// A counter that starts again, such as that of an interface made anew, has not grown.
    pub(super) fn grown_since(&self, before: &Self) -> Option<u64> {
        debug_assert_eq!(
            (self.layer, self.counter),
            (before.layer, before.counter),
            "counters of one place in two readings"
        );
        Some(self.value?.saturating_sub(before.value?))
    }
}
