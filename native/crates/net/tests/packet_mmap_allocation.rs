//! The packet ring allocates nothing once it is open.

#[allow(dead_code, reason = "each test crate uses a part")]
mod ring;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::{Duration, Instant};

use ring::{GROUP, flow, frame_sender, line, open};
use tickdeck_net::{PacketMmapConfig, Receiver, WaitSet};
use tickdeck_testbed::or_skip;

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

/// Waiting, receiving, refusing, handing back blocks, reading counters: no allocation, and no page
/// is touched for the first time.
#[test]
fn receiving_allocates_nothing() {
    let Some(testbed) = or_skip("receiving_allocates_nothing", 1) else {
        return;
    };
    let line = line(&testbed, GROUP.into());
    let mut receiver = open(&testbed, &line, &PacketMmapConfig::default());
    let mut sender = frame_sender(&testbed);
    let frame = flow().build(&[1; 1_400]);
    let (mut bytes, mut taken, before) = (0, 0, ALLOCATIONS.get());
    let deadline = Instant::now() + Duration::from_secs(10);
    for _ in 0..1_000 {
        sender.send(&frame).unwrap();
    }
    let faults = page_faults();
    while taken < 1_000 {
        assert!(Instant::now() < deadline, "{taken} of 1000 within 10 s");
        let mut set = WaitSet::default();
        receiver.register(&mut set).unwrap();
        set.wait(Duration::from_millis(100)).unwrap();
        let mut add = |datagram: tickdeck_net::Datagram<'_>| bytes += datagram.payload.len();
        taken += receiver.receive(&mut add).unwrap();
    }
    let faults = page_faults() - faults;
    receiver.receive_beside(&mut |_| {}).unwrap();
    receiver.counters().unwrap();
    let allocated = ALLOCATIONS.get() - before;
    assert_eq!((bytes, allocated), (1_400_000, 0));
    assert!(before > 0, "the counter counts");
    // 1.4 MB are 350 pages; a handful may be the stack's and the code's.
    assert!(faults < 50, "{faults} page faults");
}

/// Page faults of this thread that needed no disk: the tenth word of its stat file.
fn page_faults() -> u64 {
    let before = ALLOCATIONS.get();
    let text = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
    let behind_name = text.rsplit_once(')').unwrap().1;
    let faults = behind_name.split_whitespace().nth(7).unwrap().parse();
    ALLOCATIONS.set(before);
    faults.unwrap()
}
