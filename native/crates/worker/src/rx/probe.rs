//! `tickdeck-rx probe`: which receive paths this host has for the lines of a spec, as JSON. Opens
//! and closes each path; packets of a plant that runs meanwhile keep their way.

use std::path::Path;

use serde_json::{Value, json};
use tickdeck_net::{RungReport, probe, rungs_of};

use super::lines::{settings, wish};
use crate::exit::{Code, Failure};
use crate::spec::{Kind, Spec};

/// Prints `{"lines":[{"line":…,"wish":…,"rungs":[{"path":…,"ok":…,"errno":…,"error":…}],"chosen":…}]}`;
/// `chosen` is what the wish would end on, null: nothing.
pub(super) fn run(spec: &Path) -> Result<Code, Failure> {
    let spec = Spec::load(spec, Kind::Rx)?;
    let settings = settings(&spec);
    let mut lines = Vec::new();
    for line in &spec.exchange.lines {
        let (config, wanted) = wish(line)?;
        let reports = probe(&config, &settings);
        let wanted_rungs = rungs_of(wanted, &settings);
        let is_chosen =
            |report: &&RungReport| report.refusal.is_none() && wanted_rungs.contains(&report.rung);
        lines.push(json!({
            "line": line.name.label(),
            "wish": line.receive.name(),
            "rungs": reports.iter().map(rung).collect::<Vec<_>>(),
            "chosen": reports.iter().find(is_chosen).map(|report| report.rung.name()),
        }));
    }
    println!("{}", json!({"lines": lines}));
    Ok(Code::Clean)
}

fn rung(report: &RungReport) -> Value {
    let refusal = report.refusal.as_ref();
    json!({
        "path": report.rung.name(),
        "ok": refusal.is_none(),
        "errno": refusal.and_then(|refusal| refusal.errno),
        "error": refusal.map(|refusal| &refusal.text),
    })
}
