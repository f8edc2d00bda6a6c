//! The accounts as one JSON object or as a table.

use std::io::{self, Write};

use serde_json::{Value, json};

use super::account::{Account, Skew};
use super::continuity::Continuity;

/// Ranges that a table shows of a channel.
const SHOWN: usize = 8;

/// One JSON object, and nothing else.
pub(super) fn write_json(out: &mut impl Write, accounts: &[(String, Account)]) -> io::Result<()> {
    let channels: Vec<Value> = accounts.iter().map(channel_json).collect();
    writeln!(out, "{}", json!({ "channels": channels }))
}

/// A few lines for each channel.
pub(super) fn write_table(out: &mut impl Write, accounts: &[(String, Account)]) -> io::Result<()> {
    for (name, account) in accounts {
        write_channel(out, name, account)?;
    }
    Ok(())
}

fn channel_json((name, account): &(String, Account)) -> Value {
    let [a, b] = &account.lines;
    let gap = |(from, to): &(u64, u64)| json!({ "from": from, "to": to });
    let gaps: Vec<Value> = account.gaps.iter().map(gap).collect();
    let mut rejected = account.rejected.clone();
    if account.hold_dropped > 0 {
        rejected.insert("hold_dropped", account.hold_dropped);
    }
    json!({
        "channel": name,
        "session": account.session.to_string(),
        "packets_a": a.packets,
        "packets_b": b.packets,
        "first_sequence": account.range.map(|(first, _)| first),
        "last_sequence": account.range.map(|(_, last)| last),
        "first_a": a.first,
        "first_b": b.first,
        "lost_a": a.lost,
        "lost_b": b.lost,
        "duplicates": account.duplicates,
        "conflicts": account.conflicts,
        "gaps": gaps,
        "skew_ns": account.skew.map(skew_json),
        "rpt_seq": account.continuity.as_ref().map(continuity_json),
        "uncompared": account.uncompared,
        "rejected": rejected,
    })
}

fn continuity_json(continuity: &Continuity) -> Value {
    json!({
        "instruments": continuity.instruments(),
        "updates": continuity.updates,
        "jumps": continuity.jumps,
        "malformed": continuity.malformed,
    })
}

fn skew_json(skew: Skew) -> Value {
    json!({
        "min": skew.min,
        "p1": skew.p1,
        "p50": skew.p50,
        "p99": skew.p99,
        "max": skew.max,
    })
}

fn write_channel(out: &mut impl Write, name: &str, account: &Account) -> io::Result<()> {
    let range = account.range.map_or_else(
        || "no numbers".to_owned(),
        |(first, last)| format!("{first} to {last}"),
    );
    writeln!(out, "{name}  {}  {range}", account.session)?;
    for (line, brought) in ["A", "B"].into_iter().zip(account.lines) {
        writeln!(
            out,
            "  {line}  packets {:>10}  first {:>10}  lost {:>8}",
            brought.packets, brought.first, brought.lost
        )?;
    }
    writeln!(
        out,
        "  duplicates {}  conflicts {}  uncompared {}",
        account.duplicates, account.conflicts, account.uncompared
    )?;
    let gaps: Vec<_> = account.gaps.iter().map(range_text).collect();
    match gaps.as_slice() {
        [] => writeln!(out, "  no gap")?,
        all => {
            let shown = all[..all.len().min(SHOWN)].join(", ");
            let more = all.len().saturating_sub(SHOWN);
            let more = if more > 0 {
                format!(" and {more} more")
            } else {
                String::new()
            };
            writeln!(out, "  gaps {shown}{more}")?;
        }
    }
    if let Some(skew) = account.skew {
        writeln!(
            out,
            "  B after A, ns: min {}  p1 {}  p50 {}  p99 {}  max {}",
            skew.min, skew.p1, skew.p50, skew.p99, skew.max
        )?;
    }
    if let Some(continuity) = &account.continuity {
        writeln!(
            out,
            "  RptSeq of {} instruments: {} updates, {} jumps",
            continuity.instruments(),
            continuity.updates,
            continuity.jumps
        )?;
    }
    for (reason, count) in &account.rejected {
        writeln!(out, "  rejected {reason}: {count}")?;
    }
    if account.hold_dropped > 0 {
        writeln!(
            out,
            "  {} numbers did not fit behind a hole",
            account.hold_dropped
        )?;
    }
    Ok(())
}

fn range_text((from, to): &(u64, u64)) -> String {
    if from == to {
        from.to_string()
    } else {
        format!("{from}-{to}")
    }
}
