//! What a process without CAP_NET_ADMIN is told. The test runs itself again without that right.

mod common {
    pub(crate) mod line;
}

use std::env;
use std::process::Command;

use common::line::{line, socket};
use tickdeck_net::{NetError, SocketConfig, UdpReceiver};

const CHILD: &str = "TICKDECK_TEST_WITHOUT_NET_ADMIN";

/// Busy polling that is not permitted fails the opening and names option, value and remedy.
#[test]
fn busy_polling_without_the_right_is_refused() {
    if env::var_os(CHILD).is_some() {
        return assert_refused();
    }
    let child = Command::new("setpriv")
        .args(["--bounding-set=-net_admin", "--inh-caps=-net_admin", "--"])
        .arg(env::current_exe().unwrap())
        .args(["--exact", "busy_polling_without_the_right_is_refused"])
        .env(CHILD, "1")
        .output();
    match child {
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stderr);
            if text.contains("setpriv:") {
                println!("skipped: setpriv cannot take CAP_NET_ADMIN away: {text}");
                return;
            }
            let report = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success(), "{report}\n{text}");
            assert!(report.contains("1 passed"), "{report}");
        }
        Err(error) => println!("skipped: setpriv does not run: {error}"),
    }
}

fn assert_refused() {
    let config = SocketConfig {
        rcvbuf_bytes: 4_096,
        busy_poll_us: 999_999,
        ..socket()
    };
    let error = UdpReceiver::open(&line(), &config).err().unwrap();
    let NetError::Option { option, value, .. } = &error else {
        panic!("{error}");
    };
    // Which of the three a kernel refuses first differs.
    let known = [
        ("SO_BUSY_POLL", "999999"),
        ("SO_PREFER_BUSY_POLL", "1"),
        ("SO_BUSY_POLL_BUDGET", "64"),
    ];
    assert!(known.contains(&(option, value)), "{error}");
    for part in ["CAP_NET_ADMIN", "busy_poll_us"] {
        assert!(error.to_string().contains(part), "{error}");
    }
}
