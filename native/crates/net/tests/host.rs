//! Interfaces, cores, memory and clocks of the host that runs the tests.

use std::net::Ipv4Addr;
use std::thread;

use tickdeck_net::{NetError, clock, interface_address, lock_memory, pin_current_thread};

/// The loopback interface is found by name and by address.
#[test]
fn an_interface_is_found_by_name_and_address() {
    assert_eq!(interface_address("lo").unwrap(), Ipv4Addr::LOCALHOST);
    assert_eq!(interface_address("127.0.0.1").unwrap(), Ipv4Addr::LOCALHOST);
}

/// What the host does not have is refused, and the text lists what it has.
#[test]
fn an_unknown_interface_is_refused_with_the_known_ones() {
    let by_name = interface_address("nic77").err().unwrap();
    assert!(matches!(by_name, NetError::NoInterface { .. }));
    assert!(by_name.to_string().contains("\"nic77\"") && by_name.to_string().contains("lo"));
    let by_address = interface_address("203.0.113.9").err().unwrap();
    assert!(matches!(by_address, NetError::NotLocal { .. }));
    assert!(by_address.to_string().contains("127.0.0.1"), "{by_address}");
}

/// A pinned thread may run on that core alone; other threads are not touched.
#[test]
fn pinning_binds_the_calling_thread_alone() {
    let cores = || rustix::thread::sched_getaffinity(None).unwrap();
    let before = cores().count();
    let first = (0..1024).find(|core| cores().is_set(*core)).unwrap();
    thread::spawn(move || {
        pin_current_thread(first).unwrap();
        assert!(cores().is_set(first) && cores().count() == 1);
    })
    .join()
    .unwrap();
    assert_eq!(cores().count(), before);
}

/// A core that does not exist is an error that names it.
#[test]
fn an_absent_core_is_named() {
    let text = pin_current_thread(1023).err().unwrap().to_string();
    assert!(
        text.contains("core 1023") && text.contains("nproc"),
        "{text}"
    );
    assert!(matches!(
        pin_current_thread(1 << 20),
        Err(NetError::Config { field: "core", .. })
    ));
}

/// Either all memory is locked from then on, or the error says which limit to raise.
#[test]
fn memory_is_locked_or_the_limit_is_named() {
    match lock_memory() {
        Ok(()) => {
            let status = std::fs::read_to_string("/proc/self/status").unwrap();
            let locked = status
                .lines()
                .find_map(|line| line.strip_prefix("VmLck:"))
                .unwrap();
            let kilobytes: u64 = locked.trim().trim_end_matches(" kB").parse().unwrap();
            assert!(kilobytes > 0);
        }
        Err(error) => assert!(error.to_string().contains("LimitMEMLOCK"), "{error}"),
    }
}

/// The clocks are those of the system, in nanoseconds, and the monotonic one does not go back.
#[test]
fn the_clocks_agree_with_the_standard_library() {
    let before = std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64;
    let now = clock::realtime_ns();
    let after = std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64;
    assert!((before..=after).contains(&now));
    let readings: Vec<u64> = (0..1_000).map(|_| clock::monotonic_ns()).collect();
    assert!(readings.is_sorted() && readings[0] > 0);
}
