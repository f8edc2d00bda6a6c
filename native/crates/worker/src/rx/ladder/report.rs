//! The report for operators: which path each line runs on and why, the counters from the network
//! card to the journal, the last verdict. JSON of the op `receive.report`:
//!
//! ```json
//! {"lines": [{"line": "A", "receiver": 1, "path": "recvmmsg",
//!             "rungs": [{"path": "af_xdp zero-copy", "ok": false, "errno": 95, "error": "…"}]}],
//!  "layers": [{"layer": "nic", "counter": "rx_dropped", "unit": "packets", "loss": true,
//!              "readable": true, "value": 7, "since_start": 0, "last_minute": 0, "error": ""}],
//!  "last_verdict": {"gap_id": 3, "layer": "socket", "lost": 812, "text": "socket 812",
//!                   "grown": [{"layer": "socket", "lost": 812}], "age_ns": 9, "span_ns": 5}}
//! ```
//!
//! `errno` is null when the refusal is our own; `value` and growths are null when the counter could
//! not be read, `last_minute` also where no history is kept; `last_verdict` is null before the first.

use serde_json::{Value, json};
use tickdeck_net::{Rung, RungReport};

use super::verdict::{Losses, Verdict};
use super::{Count, Layer};

/// A line and its receive path.
pub(in crate::rx) struct LineReport {
    /// Label of the line.
    pub(in crate::rx) line: &'static str,
    /// Number of its receiver, from 1; lines with the same number share one.
    pub(in crate::rx) receiver: usize,
    pub(in crate::rx) rung: Rung,
    /// What was tried for it, the best first.
    pub(in crate::rx) rungs: Vec<RungReport>,
}

/// The verdict on the latest gap that both lines missed. Times are monotonic ns.
pub(in crate::rx) struct LastVerdict {
    pub(in crate::rx) gap_id: u64,
    pub(in crate::rx) verdict: Verdict,
    pub(in crate::rx) losses: Losses,
    pub(in crate::rx) at_ns: u64,
    /// The reading before the gap.
    pub(in crate::rx) base_ns: u64,
}

/// The rows of counters in one reading; `first` and `minute_ago` are earlier ones, or empty.
pub(in crate::rx) fn counters(
    now: &[Count],
    first: &[Count],
    minute_ago: &[Count],
    errors: &[(Layer, String)],
) -> Vec<(Layer, Value)> {
    let grown = |index: usize, before: &[Count]| {
        let before: Option<&Count> = before.get(index);
        before.and_then(|before| now[index].grown_since(before))
    };
    let row = |(index, count): (usize, &Count)| {
        let error = errors
            .iter()
            .find(|(layer, _)| count.value.is_none() && *layer == count.layer);
        let row = json!({
            "layer": count.layer.name(),
            "counter": count.counter,
            "unit": count.unit,
            "loss": count.is_loss,
            "readable": count.value.is_some(),
            "value": count.value,
            "since_start": grown(index, first),
            "last_minute": grown(index, minute_ago),
            "error": error.map_or("", |(_, error)| error),
        });
        (count.layer, row)
    };
    now.iter().enumerate().map(row).collect()
}

/// The whole report.
pub(in crate::rx) fn report(
    lines: &[LineReport],
    mut counters: Vec<(Layer, Value)>,
    last: Option<&LastVerdict>,
    now_ns: u64,
) -> Value {
    // Stable: the counters of a layer stay in their order.
    counters.sort_by_key(|(layer, _)| *layer);
    let counters: Vec<Value> = counters.into_iter().map(|(_, row)| row).collect();
    json!({
        "lines": lines.iter().map(line).collect::<Vec<_>>(),
        "layers": counters,
        "last_verdict": last.map(|last| verdict(last, now_ns)),
    })
}

fn line(line: &LineReport) -> Value {
    let rung = |report: &RungReport| {
        let refusal = report.refusal.as_ref();
        json!({
            "path": report.rung.name(),
            "ok": refusal.is_none(),
            "errno": refusal.and_then(|refusal| refusal.errno),
            "error": refusal.map_or("", |refusal| &refusal.text),
        })
    };
    json!({
        "line": line.line,
        "receiver": line.receiver,
        "path": line.rung.name(),
        "rungs": line.rungs.iter().map(rung).collect::<Vec<_>>(),
    })
}

fn verdict(last: &LastVerdict, now_ns: u64) -> Value {
    let grown = |(layer, lost): (Layer, u64)| json!({"layer": layer.name(), "lost": lost});
    json!({
        "gap_id": last.gap_id,
        "layer": last.verdict.name(),
        "lost": last.verdict.count(),
        "text": last.verdict.to_string(),
        "grown": last.losses.grown().map(grown).collect::<Vec<_>>(),
        "age_ns": now_ns.saturating_sub(last.at_ns),
        "span_ns": last.at_ns.saturating_sub(last.base_ns),
    })
}

#[cfg(test)]
mod tests {
    use tickdeck_net::NetErrorText;

    use super::*;

    /// Rows follow the packet, whoever read them; what could not be read is null with its reason.
    #[test]
    fn rows_follow_the_packet() {
        let own = |value| [Count::loss(Layer::Socket, "drops", "packets", value)];
        let host = [
            Count::loss(Layer::Nic, "rx_dropped", "packets", None),
            Count::info(Layer::Socket, "host_rcvbuf_errors", "packets", 4),
        ];
        let mut rows = counters(&own(9), &own(2), &[], &[]);
        rows.extend(counters(
            &host,
            &host,
            &host,
            &[(Layer::Nic, "gone".to_owned())],
        ));
        let refused = RungReport {
            rung: Rung::ZeroCopy,
            refusal: Some(NetErrorText {
                errno: Some(95),
                text: "not supported".to_owned(),
            }),
        };
        let runs = RungReport {
            rung: Rung::Recvmmsg,
            refusal: None,
        };
        let lines = [LineReport {
            line: "A",
            receiver: 1,
            rung: Rung::Recvmmsg,
            rungs: vec![refused, runs],
        }];
        let report = report(&lines, rows, None, 0);
        let names: Vec<_> = (0..3)
            .map(|row| &report["layers"][row]["counter"])
            .collect();
        assert_eq!(names, ["rx_dropped", "drops", "host_rcvbuf_errors"]);
        let nic = &report["layers"][0];
        assert_eq!(
            (&nic["readable"], &nic["error"]),
            (&json!(false), &json!("gone"))
        );
        assert!(nic["value"].is_null() && nic["since_start"].is_null());
        assert_eq!(report["layers"][1]["since_start"], 7);
        assert!(report["layers"][1]["last_minute"].is_null());
        let rungs = &report["lines"][0]["rungs"];
        assert_eq!(
            (&rungs[0]["errno"], &rungs[0]["ok"]),
            (&json!(95), &json!(false))
        );
        assert_eq!(
            (&rungs[1]["ok"], &rungs[1]["error"]),
            (&json!(true), &json!(""))
        );
        assert!(report["last_verdict"].is_null());
    }
}
