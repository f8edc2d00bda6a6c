use std::env;
use std::fs;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use crate::error::{TestbedError, Unavailable};
use crate::namespace::{Namespace, PREFIX, output, remove_leftovers, run};

/// The sending end of the veth pair.
pub const TX_INTERFACE: &str = "tx0";
/// The receiving end.
pub const RX_INTERFACE: &str = "rx0";
/// Address of the sending end, in a /24.
pub const TX_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
/// Address of the receiving end.
pub const RX_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);
/// IPv6 address of the sending end, in a /64.
pub const TX_ADDRESS_V6: Ipv6Addr = Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 1);
/// IPv6 address of the receiving end.
pub const RX_ADDRESS_V6: Ipv6Addr = Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 2);

/// Two hosts and the wire between them.
///
/// Multicast leaves `tx` through [`TX_INTERFACE`]; offloads and GRO are the kernel's defaults; the
/// interfaces send no router solicitations and test no addresses, so the wire is quiet but for
/// group reports. Everything is gone when it is dropped.
#[derive(Debug)]
pub struct Testbed {
    tx: Namespace,
    rx: Namespace,
}

impl Testbed {
    /// Makes both namespaces and the veth pair, whose ends have `queues` queues each way, and waits
    /// until both ends are up. Removes what dead processes left behind.
    ///
    /// # Errors
    ///
    /// [`TestbedError::Unavailable`] when this host or process cannot have one; any other is a
    /// failure.
    pub fn new(queues: u32) -> Result<Self, TestbedError> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        if !rustix::process::geteuid().is_root() {
            return Err(TestbedError::Unavailable(Unavailable::NotRoot));
        }
        run("ip", &["-V"])?;
        remove_leftovers();
        let name = |end| {
            let (pid, number) = (std::process::id(), NEXT.fetch_add(1, Relaxed));
            format!("{PREFIX}{pid}-{number}-{end}")
        };
        let testbed = Self {
            tx: Namespace::create(name("tx"))?,
            rx: Namespace::create(name("rx"))?,
        };
        testbed.quieten()?;
        testbed.connect(queues)?;
        Ok(testbed)
    }

    /// Moves the calling thread to the sending host, for good.
    ///
    /// # Errors
    ///
    /// The system refuses.
    pub fn enter_tx(&self) -> Result<(), TestbedError> {
        self.tx.enter()
    }

    /// Moves the calling thread to the receiving host, for good.
    ///
    /// # Errors
    ///
    /// The system refuses.
    pub fn enter_rx(&self) -> Result<(), TestbedError> {
        self.rx.enter()
    }

    /// Runs a closure in a thread on the sending host. Sockets that it returns stay there.
    ///
    /// # Panics
    ///
    /// When the closure does.
    pub fn in_tx<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        within(&self.tx, work)
    }

    /// Runs a closure in a thread on the receiving host. Sockets that it returns stay there.
    ///
    /// # Panics
    ///
    /// When the closure does.
    pub fn in_rx<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        within(&self.rx, work)
    }

    /// Runs a command (words, no quoting) on the sending host; returns what it printed.
    ///
    /// # Errors
    ///
    /// It cannot be run, or failed.
    pub fn command_tx(&self, line: &str) -> Result<String, TestbedError> {
        command(&self.tx, line)
    }

    /// Runs a command (words, no quoting) on the receiving host; returns what it printed.
    ///
    /// # Errors
    ///
    /// It cannot be run, or failed.
    pub fn command_rx(&self, line: &str) -> Result<String, TestbedError> {
        command(&self.rx, line)
    }

    /// A child process for the sending host, not yet started.
    pub fn process_tx(&self, program: &str) -> Command {
        self.tx.process(program)
    }

    /// A child process for the receiving host, not yet started.
    pub fn process_rx(&self, program: &str) -> Command {
        self.rx.process(program)
    }

    /// Names of the namespaces, the sending one first.
    pub fn names(&self) -> [&str; 2] {
        [self.tx.name(), self.rx.name()]
    }

    /// No duplicate address detection, router solicitation or reverse path check: a test starts at
    /// once, and only its own packets are dropped for its own reasons.
    fn quieten(&self) -> Result<(), TestbedError> {
        const SETTINGS: [(&str, &str); 6] = [
            ("ipv4/conf/all/rp_filter", "0"),
            ("ipv4/conf/default/rp_filter", "0"),
            ("ipv6/conf/all/accept_dad", "0"),
            ("ipv6/conf/default/accept_dad", "0"),
            ("ipv6/conf/default/router_solicitations", "0"),
            ("ipv6/conf/default/accept_ra", "0"),
        ];
        for end in [&self.tx, &self.rx] {
            within(end, || {
                for (name, value) in SETTINGS {
                    let path = format!("/proc/sys/net/{name}");
                    fs::write(&path, value)
                        .map_err(|error| TestbedError::io(format!("set {path}"), error))?;
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    fn connect(&self, queues: u32) -> Result<(), TestbedError> {
        let queues = format!("numtxqueues {queues} numrxqueues {queues}");
        let peer = format!("peer name {RX_INTERFACE} netns {} {queues}", self.rx.name());
        self.tx
            .ip(&format!(
                "link add {TX_INTERFACE} {queues} type veth {peer}"
            ))
            .map_err(|error| match error {
                TestbedError::Command { stderr, .. } => {
                    TestbedError::Unavailable(Unavailable::NoVeth(stderr))
                }
                other => other,
            })?;
        for (end, interface, v4, v6) in [
            (&self.tx, TX_INTERFACE, TX_ADDRESS, TX_ADDRESS_V6),
            (&self.rx, RX_INTERFACE, RX_ADDRESS, RX_ADDRESS_V6),
        ] {
            end.ip("link set lo up")?;
            end.ip(&format!("address add {v4}/24 dev {interface}"))?;
            end.ip(&format!("address add {v6}/64 dev {interface} nodad"))?;
            end.ip(&format!("link set {interface} up"))?;
        }
        wait_until_up(&self.tx, TX_INTERFACE)?;
        wait_until_up(&self.rx, RX_INTERFACE)?;
        self.tx
            .ip(&format!("route add 224.0.0.0/4 dev {TX_INTERFACE}"))?;
        Ok(())
    }
}

/// A testbed for the test of this name, or `None` after a line that says why it is skipped.
///
/// # Panics
///
/// The testbed failed; or it cannot be had and the environment has
/// `TICKDECK_TEST_PRIVILEGED=require`.
pub fn or_skip(test_name: &str, queues: u32) -> Option<Testbed> {
    match Testbed::new(queues) {
        Ok(testbed) => Some(testbed),
        Err(TestbedError::Unavailable(reason)) => {
            skip(test_name, &reason.to_string());
            None
        }
        Err(error) => panic!("{test_name}: {error}"),
    }
}

/// Says that the test of this name, or a part of it, is skipped for want of something that the
/// machine should have.
///
/// # Panics
///
/// The environment has `TICKDECK_TEST_PRIVILEGED=require`.
pub fn skip(test_name: &str, reason: &str) {
    let required = env::var_os(REQUIRE).is_some_and(|value| value == "require");
    assert!(!required, "{test_name}: {reason}, and {REQUIRE}=require");
    println!("SKIPPED: {test_name}: {reason}");
}

/// Environment variable that forbids skipping.
const REQUIRE: &str = "TICKDECK_TEST_PRIVILEGED";
/// How long the ends of a veth pair may take to come up.
const UP_LIMIT: Duration = Duration::from_secs(60);

fn within<T: Send>(namespace: &Namespace, work: impl FnOnce() -> T + Send) -> T {
    let enter_and_work = || {
        namespace.enter().unwrap_or_else(|error| panic!("{error}"));
        work()
    };
    thread::scope(|scope| match scope.spawn(enter_and_work).join() {
        Ok(result) => result,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}

fn command(namespace: &Namespace, line: &str) -> Result<String, TestbedError> {
    let mut words = line.split_whitespace();
    let mut command = namespace.process(words.next().unwrap_or_default());
    output(command.args(words))
}

/// A veth end drops everything until the kernel's link watcher has seen its carrier.
fn wait_until_up(namespace: &Namespace, interface: &'static str) -> Result<(), TestbedError> {
    let start = Instant::now();
    loop {
        let state = namespace.ip(&format!("-o link show dev {interface}"))?;
        if state.contains("state UP") {
            return Ok(());
        }
        if start.elapsed() > UP_LIMIT {
            let waited_ms = start.elapsed().as_millis();
            return Err(TestbedError::NotUp {
                interface,
                waited_ms,
            });
        }
        thread::sleep(Duration::from_millis(2));
    }
}
