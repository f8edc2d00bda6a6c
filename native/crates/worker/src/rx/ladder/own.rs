//! The counters that the receive thread reads itself.

use tickdeck_net::PathCounters;

use super::{Count, Layer};

/// How many they are.
const OWN_LEN: usize = 23;

/// A reading of all of them.
pub(in crate::rx) type OwnCounts = [Count; OWN_LEN];

/// What the merge counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::rx) struct MergeCounts {
    /// Packets of the lines that are no MoldUDP64 packets, or too long.
    pub(in crate::rx) rejected: u64,
    /// Packets of another session.
    pub(in crate::rx) wrong_session: u64,
    /// Packets whose numbers were not believed.
    pub(in crate::rx) implausible: u64,
    /// Messages that did not fit behind a hole.
    pub(in crate::rx) hold_dropped: u64,
    /// Messages that came when they were given up already.
    pub(in crate::rx) stale: u64,
    /// Records that did not fit the ring.
    pub(in crate::rx) oversize: u64,
}

/// What a reading is made of: the sums over all paths, and the merge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::rx) struct Own {
    pub(in crate::rx) paths: PathCounters,
    pub(in crate::rx) merge: MergeCounts,
}

impl Own {
    /// The reading.
    pub(in crate::rx) fn counts(&self) -> OwnCounts {
        own_counts(&self.paths, &self.merge)
    }
}

fn own_counts(paths: &PathCounters, merge: &MergeCounts) -> OwnCounts {
    use Layer::{Arbiter, PacketRing, Receiver, Ring, Socket, XdpProgram, Xsk};
    [
        Count::info(XdpProgram, "redirected", "frames", paths.program_redirected),
        Count::info(XdpProgram, "no_key", "frames", paths.program_no_key),
        Count::info(XdpProgram, "fragments", "frames", paths.program_fragments),
        Count::info(XdpProgram, "malformed", "frames", paths.program_malformed),
        Count::info(
            XdpProgram,
            "unbound_queue",
            "frames",
            paths.program_unbound_queue,
        ),
        Count::loss(Xsk, "dropped", "frames", paths.xsk_dropped),
        Count::loss(Xsk, "invalid_descs", "frames", paths.xsk_invalid_descs),
        Count::loss(Xsk, "ring_full", "frames", paths.xsk_ring_full),
        Count::loss(Xsk, "fill_ring_empty", "frames", paths.xsk_fill_ring_empty),
        Count::loss(PacketRing, "drops", "frames", paths.packet_ring_drops),
        Count::info(PacketRing, "freezes", "times", paths.packet_ring_freezes),
        Count::loss(Socket, "drops", "packets", paths.socket_drops),
        Count::info(Socket, "beside", "packets", paths.beside),
        Count::loss(Receiver, "malformed", "frames", paths.malformed),
        Count::info(Receiver, "fragments", "frames", paths.fragments),
        Count::info(Receiver, "foreign", "frames", paths.foreign),
        Count::info(
            Receiver,
            "hardware_stamps_refused",
            "packets",
            paths.hardware_stamps_refused,
        ),
        Count::loss(Receiver, "rejected", "packets", merge.rejected),
        Count::loss(Arbiter, "hold_dropped", "messages", merge.hold_dropped),
        Count::info(Arbiter, "wrong_session", "packets", merge.wrong_session),
        Count::info(Arbiter, "implausible", "packets", merge.implausible),
        Count::info(Arbiter, "stale", "messages", merge.stale),
        Count::loss(Ring, "oversize", "records", merge.oversize),
    ]
}

/// What a path lost, by layer: xsk, packet ring, socket, receiver. No frame is counted twice: the
/// receiver has seen to that.
pub(in crate::rx) fn path_losses(paths: &PathCounters) -> [u64; 4] {
    [
        paths.xsk_dropped
            + paths.xsk_fill_ring_empty
            + paths.xsk_invalid_descs
            + paths.xsk_ring_full,
        paths.packet_ring_drops,
        paths.socket_drops,
        paths.malformed,
    ]
}

/// The layers of [`path_losses`].
pub(in crate::rx) const PATH_LAYERS: [Layer; 4] = [
    Layer::Xsk,
    Layer::PacketRing,
    Layer::Socket,
    Layer::Receiver,
];
