//! The memory that the kernel writes packets into, in frames of equal size.
//!
//! Each frame has one owner at any time:
//!
//! | Owner | Who may touch it | How it gets there |
//! |---|---|---|
//! | FREE | we | from the start, and after its packet was handled |
//! | FILL | the kernel | put into the fill ring |
//! | HELD | we read | the kernel has put it into the RX ring with a packet |
//!
//! A frame changes hands as a value: [`Free`] and [`Held`] cannot be copied, so a frame cannot be
//! given to the kernel twice. What the kernel says of a frame is checked before it becomes a
//! `Held`; with debug assertions a ledger also checks each change of hands.

use std::io;

use crate::memory::Memory;

/// Frames of one AF_XDP socket.
pub(crate) struct Umem {
    memory: Memory,
    frame_bytes: u32,
    #[cfg(debug_assertions)]
    owners: Vec<Owner>,
}

/// A frame that is ours to give to the kernel: its address.
#[derive(Debug)]
pub(crate) struct Free(u64);

/// A frame with a packet: where the packet is.
#[derive(Debug)]
pub(crate) struct Held {
    at: u64,
    length: u32,
}

/// The kernel has named a place that is not inside one frame.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BadDescriptor;

#[cfg(debug_assertions)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    Free,
    Fill,
    Held,
}

impl Umem {
    /// Allocates and touches `frame_count` frames of `frame_bytes`, a power of two; gives out all
    /// of them.
    pub(crate) fn new(
        frame_count: u32,
        frame_bytes: u32,
        huge_pages: bool,
    ) -> io::Result<(Self, Vec<Free>)> {
        assert!(
            frame_bytes.is_power_of_two(),
            "a frame's size is a power of two"
        );
        let length = frame_count as usize * frame_bytes as usize;
        let memory = Memory::anonymous(length, huge_pages)?;
        let frames = (0..u64::from(frame_count)).map(|n| Free(n * u64::from(frame_bytes)));
        let umem = Self {
            memory,
            frame_bytes,
            #[cfg(debug_assertions)]
            owners: vec![Owner::Free; frame_count as usize],
        };
        Ok((umem, frames.collect()))
    }

    /// Address and length in this process, for the kernel.
    pub(crate) fn range(&self) -> (u64, u64) {
        (self.memory.at(0) as u64, self.memory.length() as u64)
    }

    /// The frame becomes the kernel's; the result is what goes into the fill ring.
    #[inline(always)]
    pub(crate) fn fill(&mut self, frame: Free) -> u64 {
        self.change(frame.0, "FREE", "FILL");
        frame.0
    }

    /// The kernel has put `length` bytes at `at`: the frame becomes ours to read.
    #[inline(always)]
    pub(crate) fn hold(&mut self, at: u64, length: u32) -> Result<Held, BadDescriptor> {
        let offset = at & u64::from(self.frame_bytes - 1);
        let is_inside = at < self.memory.length() as u64
            && offset + u64::from(length) <= u64::from(self.frame_bytes);
        if !is_inside {
            return Err(BadDescriptor);
        }
        self.change(at - offset, "FILL", "HELD");
        Ok(Held { at, length })
    }

    /// The packet.
    #[inline(always)]
    pub(crate) fn packet(&self, held: &Held) -> &[u8] {
        // SAFETY: `hold` has checked that the bytes lie inside one frame, and so inside the mapping,
        // which lives as long as `self`. The kernel has put the frame into the RX ring and writes it
        // again only after it found it in the fill ring, where `fill` puts it, which needs the
        // `Free` that `release` makes of this `Held` and `&mut self`; so nobody writes while the
        // slice lives. All bytes were initialised (the mapping began as zeros).
        unsafe {
            std::slice::from_raw_parts(self.memory.at(held.at as usize), held.length as usize)
        }
    }

    /// The eight bytes in front of the packet, where a steering program has put a time.
    #[inline(always)]
    pub(crate) fn word_before(&self, held: &Held) -> Option<u64> {
        let at = held.at.checked_sub(8)?;
        if at & !u64::from(self.frame_bytes - 1) != held.at & !u64::from(self.frame_bytes - 1) {
            return None;
        }
        // SAFETY: the eight bytes lie in the same frame as the packet (checked above), which is
        // held; see `packet`. The read is unaligned because a packet may begin anywhere.
        Some(unsafe { self.memory.at(at as usize).cast::<u64>().read_unaligned() })
    }

    /// Where the packet of a descriptor begins, to be fetched in advance; checks nothing and reads
    /// nothing.
    #[inline(always)]
    pub(crate) fn hint(&self, at: u64) -> *const u8 {
        self.memory.at(0).wrapping_add(at as usize)
    }

    /// The packet was handled.
    #[inline(always)]
    pub(crate) fn release(&mut self, held: Held) -> Free {
        let frame = held.at & !u64::from(self.frame_bytes - 1);
        self.change(frame, "HELD", "FREE");
        Free(frame)
    }

    #[cfg(debug_assertions)]
    fn change(&mut self, frame: u64, from: &str, to: &str) {
        let named = |name: &str| match name {
            "FREE" => Owner::Free,
            "FILL" => Owner::Fill,
            _ => Owner::Held,
        };
        let owner = &mut self.owners[(frame / u64::from(self.frame_bytes)) as usize];
        assert_eq!(
            *owner,
            named(from),
            "frame at {frame} changes hands from its owner"
        );
        *owner = named(to);
    }

    #[cfg(not(debug_assertions))]
    #[inline(always)]
    fn change(&mut self, _frame: u64, _from: &str, _to: &str) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    fn umem() -> (Umem, Vec<Free>) {
        Umem::new(4, 2_048, false).unwrap()
    }

    /// A frame goes round its three owners; the packet begins where the kernel says.
    #[test]
    fn a_frame_goes_round() {
        let (mut umem, mut frames) = umem();
        let address = umem.fill(frames.remove(1));
        assert_eq!(address, 2_048);
        let held = umem.hold(address + 256, 60).unwrap();
        assert_eq!(umem.packet(&held), [0; 60]);
        assert_eq!(umem.release(held).0, 2_048);
    }

    /// A place outside the memory, or over the end of a frame, is refused.
    #[test]
    fn places_outside_are_refused() {
        let (mut umem, mut frames) = umem();
        umem.fill(frames.remove(3));
        for (at, length) in [
            (4 * 2_048, 1),
            (u64::MAX, 1),
            (6_144 + 2_000, 49),
            (6_144, u32::MAX),
        ] {
            assert_eq!(
                umem.hold(at, length).err(),
                Some(BadDescriptor),
                "{at} {length}"
            );
        }
        assert!(umem.hold(6_144 + 2_000, 48).is_ok());
    }

    /// A time stands in the same frame or is not there.
    #[test]
    fn the_word_before_is_in_the_frame() {
        let (mut umem, mut frames) = umem();
        for (offset, there) in [(0, false), (7, false), (8, true)] {
            let address = umem.fill(frames.pop().unwrap());
            let held = umem.hold(address + offset, 20).unwrap();
            assert_eq!(umem.word_before(&held).is_some(), there, "{offset}");
        }
    }

    /// With debug assertions a frame that the kernel never got cannot come back from it.
    #[test]
    #[cfg(debug_assertions)]
    #[should_panic(expected = "changes hands from its owner")]
    fn a_frame_that_was_not_given_is_noticed() {
        let (mut umem, _frames) = umem();
        let _ = umem.hold(0, 1);
    }
}
