//! The receive path allocates nothing once it is open.

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use common::{line, receive, sender};
use tickdeck_net::{Receiver, UdpReceiver};

/// Counts every allocation of the process; this binary has one test, so they are all its own.
struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: every call is passed on to the system's allocator with the same arguments, so its
// guarantees hold; counting touches no memory of the allocation.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`, and `pointer` came from `System`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// Waiting, receiving, reading stamps and drop counts: a thousand datagrams, no allocation.
#[test]
fn receiving_allocates_nothing() {
    let line = line();
    let mut receiver = UdpReceiver::open(&line).unwrap();
    let sender = sender(&line);
    for _ in 0..1_000 {
        sender.send(&[1; 64]).unwrap();
    }
    let (mut bytes, before) = (0, ALLOCATIONS.load(Relaxed));
    receive(&mut receiver, 1_000, &mut |datagram| {
        bytes += datagram.payload.len()
    });
    receiver.refresh_kernel_drops().unwrap();
    let allocated = ALLOCATIONS.load(Relaxed) - before;
    assert_eq!((bytes, allocated), (64_000, 0));
    assert!(before > 0, "the counter counts");
}
