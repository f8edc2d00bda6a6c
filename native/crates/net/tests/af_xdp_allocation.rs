//! The AF_XDP path allocates nothing once it is open, and touches no page for the first time.

mod common {
    #[allow(dead_code, reason = "each test crate uses a part")]
    pub(crate) mod traffic;
}

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::{Duration, Instant};

use common::traffic::{Mix, lines};
use tickdeck_net::{AfXdpConfig, AfXdpReceiver, Datagram, Receiver, Rung, WaitSet};
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

/// Waiting, receiving tagged and plain frames and fragments, refilling, refusing what is foreign.
#[test]
fn receiving_allocates_nothing() {
    let Some(testbed) = or_skip("receiving_allocates_nothing", 1) else {
        return;
    };
    testbed.in_rx(|| {
        let lines = lines();
        let to = [lines[0].destination(), lines[1].destination()];
        let mix = Mix {
            packets: 4_000,
            tagged_every: 10,
            fragmented_every: 1_000,
            foreign_every: 20,
        };
        for rung in [Rung::NativeCopy, Rung::Generic] {
            let mut receiver = AfXdpReceiver::open(&lines, rung, &AfXdpConfig::default()).unwrap();
            // Every frame of the memory was written once by the kernel, and read, before it counts.
            for _ in 0..5 {
                testbed.in_tx(|| mix.send(to, |_| {}));
                take(&mut receiver, mix.packets);
            }
            testbed.in_tx(|| mix.send(to, |_| {}));
            let (before, faults) = (ALLOCATIONS.get(), page_faults());
            let bytes = take(&mut receiver, mix.packets);
            let allocated = ALLOCATIONS.get() - before;
            let faults = page_faults() - faults;
            assert_eq!(
                (bytes, allocated),
                (4_000 * 64 + 4 * (2_000 - 64), 0),
                "{rung}"
            );
            assert!(before > 0, "the counter counts");
            assert!(faults < 50, "{rung}: {faults} page faults");
        }
    });
}

/// Takes `count` datagrams; returns their bytes.
fn take(receiver: &mut AfXdpReceiver, count: u64) -> usize {
    let deadline = Instant::now() + Duration::from_secs(20);
    let (mut bytes, mut taken) = (0, 0);
    while taken < count {
        assert!(Instant::now() < deadline, "{taken} of {count} within 20 s");
        let mut set = WaitSet::default();
        receiver.register(&mut set).unwrap();
        set.wait(Duration::from_millis(100)).unwrap();
        let mut add = |datagram: Datagram<'_>| {
            bytes += datagram.payload.len();
            taken += 1;
        };
        receiver.receive(&mut add).unwrap();
        receiver.receive_beside(&mut add).unwrap();
    }
    bytes
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
