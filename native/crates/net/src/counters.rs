/// What a receiver and the kernel below it counted since it was opened, by layer. Counters of
/// layers that the path does not have stay 0. They only grow.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PathCounters {
    /// UDP socket: its receive buffer was full (SO_MEMINFO). The socket of the path itself; of a
    /// socket that is only held beside a bypass, what its own buffer lost of the rest.
    pub socket_drops: u64,
    /// Packet ring: no free block (PACKET_STATISTICS, `tp_drops`).
    pub packet_ring_drops: u64,
    /// Packet ring: how often its queue froze (`tp_freeze_q_cnt`).
    pub packet_ring_freezes: u64,
    /// XSK: dropped for other reasons than a full ring (XDP_STATISTICS, `rx_dropped`).
    pub xsk_dropped: u64,
    /// XSK: bad descriptors in the fill ring (`rx_invalid_descs`); a defect of ours.
    pub xsk_invalid_descs: u64,
    /// XSK: the RX ring was full (`rx_ring_full`).
    pub xsk_ring_full: u64,
    /// XSK: no frame in the fill ring (`rx_fill_ring_empty_descs`).
    pub xsk_fill_ring_empty: u64,
    /// Steering program: frames sent to the XSK.
    pub program_redirected: u64,
    /// Steering program: UDP of other groups, passed to the kernel.
    pub program_no_key: u64,
    /// Steering program: fragments, passed to the kernel.
    pub program_fragments: u64,
    /// Steering program: frames that cannot be read, passed to the kernel.
    pub program_malformed: u64,
    /// Steering program: a matching frame came to a queue without a socket; the kernel got it.
    pub program_unbound_queue: u64,
    /// Receiver: frames of a ring that are no whole UDP datagram.
    pub malformed: u64,
    /// Receiver: frames of a ring that belong to no line: another group, port or source.
    pub foreign: u64,
    /// Receiver: fragments in a ring that does not put them together.
    pub fragments: u64,
    /// Receiver: hardware times that are no UTC of this host; the packets got the next best time.
    pub hardware_stamps_refused: u64,
    /// Receiver: datagrams that came through the kernel socket held beside a bypass.
    pub beside: u64,
}

impl PathCounters {
    /// Datagrams or frames of the lines that were lost on this path.
    pub fn lost(&self) -> u64 {
        self.socket_drops
            + self.packet_ring_drops
            + self.xsk_dropped
            + self.xsk_invalid_descs
            + self.xsk_ring_full
            + self.xsk_fill_ring_empty
    }

    /// The sums of both.
    pub fn plus(&self, other: &Self) -> Self {
        Self {
            socket_drops: self.socket_drops + other.socket_drops,
            packet_ring_drops: self.packet_ring_drops + other.packet_ring_drops,
            packet_ring_freezes: self.packet_ring_freezes + other.packet_ring_freezes,
            xsk_dropped: self.xsk_dropped + other.xsk_dropped,
            xsk_invalid_descs: self.xsk_invalid_descs + other.xsk_invalid_descs,
            xsk_ring_full: self.xsk_ring_full + other.xsk_ring_full,
            xsk_fill_ring_empty: self.xsk_fill_ring_empty + other.xsk_fill_ring_empty,
            program_redirected: self.program_redirected + other.program_redirected,
            program_no_key: self.program_no_key + other.program_no_key,
            program_fragments: self.program_fragments + other.program_fragments,
            program_malformed: self.program_malformed + other.program_malformed,
            program_unbound_queue: self.program_unbound_queue + other.program_unbound_queue,
            malformed: self.malformed + other.malformed,
            foreign: self.foreign + other.foreign,
            fragments: self.fragments + other.fragments,
            hardware_stamps_refused: self.hardware_stamps_refused + other.hardware_stamps_refused,
            beside: self.beside + other.beside,
        }
    }
}
