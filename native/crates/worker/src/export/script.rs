//! `export --json`: two lines on standard output for a script, the first when the exporter serves, the
//! second at its end. What fails before the first is told on standard error only, as by every command.

use std::io::{self, Write as _};
use std::path::Path;

use serde_json::{Value, json};
use tickdeck_stats::reader::Reader;

use crate::exit::{Code, Failure};
use crate::spec::Spec;
use crate::spec::export::ExportMode;

/// Totals of the last line: the field, and the metric of the stats file.
const TOTALS: [(&str, &str); 9] = [
    ("accepted", "tcp_export_subscriber_accepted_total"),
    ("rejected", "tcp_export_subscriber_rejected_total"),
    ("violations", "tcp_export_violations_total"),
    ("sent_frames", "tcp_export_sent_frames_total"),
    ("sent_bytes", "tcp_export_sent_bytes_total"),
    ("dropped", "tcp_export_dropped_total"),
    ("write_failures", "tcp_export_write_failures_total"),
    ("look_failures", "tcp_export_look_failures_total"),
    ("pin_failures", "tcp_export_pin_failures_total"),
];

/// The lines of one exporter. Nobody who reads them, or does not, stops an export.
pub(super) struct Script {
    is_wanted: bool,
    is_ready: bool,
}

impl Script {
    pub(super) fn new(is_wanted: bool) -> Self {
        Self {
            is_wanted,
            is_ready: false,
        }
    }

    /// It serves: where it listens, or whom it dials.
    pub(super) fn ready(&mut self, spec: &Spec, listen: Option<&str>) {
        self.is_ready = true;
        let export = &spec.exchange.tcp_export;
        let collectors = match export.mode {
            ExportMode::Listen => Vec::new(),
            ExportMode::Connect => export.collectors.iter().map(ToString::to_string).collect(),
        };
        self.line(&json!({
            "ready": true,
            "worker": spec.worker,
            "exchange": spec.exchange.name,
            "journal": spec.exchange.journal.data_dir.to_string_lossy(),
            "mode": match export.mode {
                ExportMode::Listen => "listen",
                ExportMode::Connect => "connect",
            },
            "listen": listen,
            "collectors": collectors,
            "control": spec.runtime_dir.join("control.sock").to_string_lossy(),
        }));
    }

    /// It has ended: how, and what it did.
    pub(super) fn ended(&self, stats: &Path, result: &Result<Code, Failure>) {
        if self.is_ready && self.is_wanted {
            self.line(&last_line(stats, result));
        }
    }

    fn line(&self, value: &Value) {
        if !self.is_wanted {
            return;
        }
        let mut out = io::stdout().lock();
        if let Err(error) = writeln!(out, "{value}").and_then(|()| out.flush()) {
            tracing::warn!(%error, "standard output takes no lines; the export goes on");
        }
    }
}

fn last_line(stats: &Path, result: &Result<Code, Failure>) -> Value {
    let (code, error) = match result {
        Ok(code) => (*code, None),
        Err(failure) => (failure.code, Some(failure.message.as_str())),
    };
    let mut line = json!({"ended": true, "code": code as i32, "error": error});
    match Reader::open(stats) {
        Ok(reader) => {
            for (field, metric) in TOTALS {
                line[field] = reader.value(metric, "").map_or(Value::Null, Value::from);
            }
        }
        Err(error) => tracing::warn!(%error, "what was exported is not told"),
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How it ended is told even when what it did is not known.
    #[test]
    fn an_error_is_in_the_last_line() {
        let failure = Failure::failed("thread sight has ended");
        assert_eq!(
            last_line(Path::new("/nowhere"), &Err(failure)),
            json!({"ended": true, "code": 1, "error": "thread sight has ended"})
        );
    }
}
