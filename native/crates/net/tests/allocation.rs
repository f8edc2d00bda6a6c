//! The receive path allocates nothing once it is open.

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use common::{line, receive, sender, socket};
use tickdeck_net::{Receiver, UdpReceiver};

/// Counts the allocations of each thread: the test harness has threads of its own.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: every call is passed on to the system's allocator with the same arguments, so its
// guarantees hold; counting touches no memory of the allocation, and a constant
// thread-local without a destructor neither allocates nor fails.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
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
    let mut receiver = UdpReceiver::open(&line, &socket()).unwrap();
    let sender = sender(&line);
    for _ in 0..1_000 {
        sender.send(&[1; 64]).unwrap();
    }
    let (mut bytes, before) = (0, ALLOCATIONS.get());
    receive(&mut receiver, 1_000, &mut |datagram| {
        bytes += datagram.payload.len()
    });
    receiver.counters().unwrap();
    let allocated = ALLOCATIONS.get() - before;
    assert_eq!((bytes, allocated), (64_000, 0));
    assert!(before > 0, "the counter counts");
}
