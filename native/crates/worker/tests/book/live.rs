//! A real `tickdeck-rx` in place of the receiver made by the tests, and a venue with one line.

use std::io::Read as _;
use std::net::{Ipv4Addr, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::json;
use tickdeck_net::{MulticastSender, find_interface};
use tickdeck_wire::moldudp64::PacketBuilder;

use crate::flow::Flow;
use crate::receiver::SESSION;
use crate::worker;

/// A running receiver; killed when dropped.
pub(crate) struct LiveReceiver {
    child: Child,
    line: MulticastSender,
}

impl LiveReceiver {
    /// Starts it where the books look for ring and journal, and waits until it is ready.
    pub(crate) fn start(root: &Path) -> Self {
        let dir = root.join("rx");
        std::fs::create_dir_all(&dir).expect("runtime directory");
        let count = std::fs::read_dir(&dir).expect("runtime directory").count();
        let incarnation = format!("00000000-0000-4000-9000-{count:012x}");
        let mut spec = worker::spec(root, &dir, &incarnation);
        (spec["kind"], spec["worker"]) = (json!("rx"), json!("T-rx"));
        let port = free_port();
        let groups = [1, 2].map(|line| Ipv4Addr::new(239, 194, fresh_number(), line));
        for (line, group) in groups.iter().enumerate() {
            spec["exchange"]["lines"][line]["group"] = json!(group.to_string());
            spec["exchange"]["lines"][line]["port"] = json!(port);
        }
        let path = root.join(format!("rx-spec.{count}.json"));
        std::fs::write(&path, spec.to_string()).expect("spec file");
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(root.join("rx.jsonl"))
            .expect("log file");
        let mut child = Command::new(env!("CARGO_BIN_EXE_tickdeck-rx"))
            .args(["run", "--ephemeral", "--ready-fd", "1", "--spec"])
            .arg(&path)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("tickdeck-rx starts");
        let mut ready = [0];
        let mut stdout = child.stdout.take().expect("standard output is a pipe");
        stdout.read_exact(&mut ready).expect("it becomes ready");
        let loopback = find_interface("lo").expect("loopback interface");
        let line = MulticastSender::open(groups[0].into(), port, &loopback, 0);
        Self {
            child,
            line: line.expect("multicast sender"),
        }
    }

    /// Of its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends messages `first..=last` on line A, a packet for every few.
    pub(crate) fn send(&self, flow: &Flow, first: u64, last: u64) {
        let mut builder = PacketBuilder::new(SESSION, 1_400);
        for start in (first..=last).step_by(20) {
            builder.begin(start);
            for message in &flow.messages[start as usize - 1..last.min(start + 19) as usize] {
                assert!(builder.push(message), "the packet has room");
            }
            self.line.send(builder.finish()).expect("sent");
        }
    }

    /// Ends in order: everything is journalled and sealed.
    pub(crate) fn stop(mut self) {
        let pid = i32::try_from(self.child.id()).ok();
        let pid = pid.and_then(rustix::process::Pid::from_raw);
        let signal = rustix::process::Signal::TERM;
        rustix::process::kill_process(pid.expect("a child's pid"), signal).expect("signal");
        assert!(self.child.wait().expect("wait").success());
    }
}

impl Drop for LiveReceiver {
    fn drop(&mut self) {
        if self.child.kill().is_ok() {
            self.child.wait().expect("wait");
        }
    }
}

fn free_port() -> u16 {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("a free port");
    socket.local_addr().expect("address").port()
}

/// Different for each receiver of this process, and mostly for each process.
fn fresh_number() -> u8 {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = std::process::id().wrapping_mul(16) + NUMBER.fetch_add(1, Ordering::Relaxed);
    (number % 256) as u8
}
