//! What the audit log says while strangers make noise.

use std::io::Write as _;

use serde_json::{Value, json};
use tickdeck_export::message::{Ack, Message};

use crate::peer::{Peer, Said, dial};
use crate::plant::{Exporter, Plant, wait_until};

const ROUNDS: u16 = 3;

/// Lines of the audit log, as they are now.
fn audit(exporter: &Exporter) -> Vec<Value> {
    let text = exporter.log_text();
    let lines = text.lines().map(serde_json::from_str::<Value>);
    let lines = lines.map(|line| line.expect("JSON"));
    lines.filter(|line| line["audit"].is_string()).collect()
}

/// Who floods the door hides nothing of what those do who have proved themselves, and what is left
/// out is counted by source and told.
#[test]
fn strangers_hide_nobody() {
    let mut plant = Plant::new();
    plant.append(10, 40);
    let (exporter, port) = plant.export_on_tcp(json!({}));
    let noise = |round: u16| {
        for n in 0..40 {
            let mut stranger = dial(port, 0x2000 + 0x100 * round + n).expect("connects");
            // It may be thrown out before.
            if let Err(error) = stranger.write_all(&[0xA5; 64]) {
                assert!(!error.to_string().is_empty());
            }
        }
    };
    for round in 0..ROUNDS {
        noise(2 * round);
        let mut peer = Peer::on_tcp(port, 0x1000 + round);
        let name = ["a", "b", "c"][usize::from(round)];
        assert!(matches!(peer.prove(Some(name)), Said::AuthOk(_)));
        noise(2 * round + 1);
        peer.send(&Message::Ack(Ack { seq: 1 }));
        while !matches!(peer.next(), Said::End) {}
    }
    let is_told = |name: &str, verdict: &str| {
        let lines = audit(&exporter);
        let is_it = |line: &Value| line["id"] == name && line["audit"] == verdict;
        lines.iter().any(is_it)
    };
    for name in ["a", "b", "c"] {
        for verdict in ["accept", "violation"] {
            wait_until("the audit says it", || is_told(name, verdict));
        }
    }
    let told = |source: &str| -> u64 {
        let lines = audit(&exporter);
        let of = lines.iter().filter(|line| line["source"] == source);
        of.filter_map(|line| line["suppressed"].as_u64()).sum()
    };
    let counted = |source: &str| {
        exporter.stat_of(
            "tcp_export_audit_suppressed_total",
            &format!("source={source}"),
        )
    };
    assert!(counted("door") > 0);
    wait_until("all that was left out is told", || {
        told("door") == counted("door")
    });
    assert_eq!((told("feed"), counted("feed")), (0, 0));
}
