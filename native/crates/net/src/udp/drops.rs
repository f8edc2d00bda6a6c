/// Makes a growing 64-bit total of the kernel's 32-bit counter.
///
/// Two sources read the same counter: a control message carries the reading of the moment when its
/// datagram was queued, SO_MEMINFO the present one. A reading may therefore be older than the last
/// one; it is recognised by a difference in the upper half of the range, and ignored.
#[derive(Debug, Default)]
pub(crate) struct DropCounter {
    total: u64,
    last: u32,
}

impl DropCounter {
    /// Drops since the socket was opened.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    #[inline]
    pub(crate) fn observe(&mut self, reading: u32) {
        let grown = reading.wrapping_sub(self.last);
        if grown <= u32::MAX / 2 {
            self.total += u64::from(grown);
            self.last = reading;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::DropCounter;

    /// The total goes on growing when the kernel's 32 bits start again at zero.
    #[test]
    fn the_drop_total_survives_the_wrap_of_the_counter() {
        let mut drops = DropCounter {
            total: u64::from(u32::MAX) - 1,
            last: u32::MAX - 1,
        };
        drops.observe(u32::MAX);
        drops.observe(4);
        assert_eq!(drops.total, u64::from(u32::MAX) + 5);
    }

    /// A reading from before the last one neither lowers nor inflates the total.
    #[test]
    fn an_older_reading_changes_nothing() {
        let mut drops = DropCounter::default();
        drops.observe(100);
        drops.observe(40);
        drops.observe(101);
        assert_eq!(drops.total, 101);
    }
}
