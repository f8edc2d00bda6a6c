//! `--lines` and `--drop`.

use std::collections::BTreeSet;
use std::net::SocketAddr;

/// Lines of a channel: A and B.
pub(super) const LINES: usize = 2;

/// The two lines of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pair {
    /// Where line A and line B are sent to.
    pub(super) lines: [SocketAddr; LINES],
}

/// Numbers that are taken away from each line: inclusive ranges, in order, disjoint.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Drops {
    lines: [Vec<(u64, u64)>; LINES],
}

impl Pair {
    /// What the channel is called: where its line A is sent to.
    pub(super) fn name(&self) -> String {
        self.lines[0].to_string()
    }

    /// The channels of all `--lines`.
    pub(super) fn parse_all(arguments: &[String]) -> Result<Vec<Self>, String> {
        let mut pairs = Vec::new();
        let mut open = None;
        for part in arguments.iter().flat_map(|argument| argument.split(',')) {
            let (line, address) = parse_line(part)?;
            open = match (line, open) {
                (0, None) => Some(address),
                (0, Some(first)) => return Err(no_b(first)),
                (_, None) => {
                    return Err(format!(
                        "--lines: B={address} follows no A; a channel is A=GROUP:PORT,B=GROUP:PORT"
                    ));
                }
                (_, Some(first)) => {
                    pairs.push(Self {
                        lines: [first, address],
                    });
                    None
                }
            };
        }
        if let Some(first) = open {
            return Err(no_b(first));
        }
        let mut seen = BTreeSet::new();
        let lines = pairs.iter().flat_map(|pair| pair.lines);
        match lines.into_iter().find(|address| !seen.insert(*address)) {
            Some(twice) => Err(format!(
                "--lines: {twice} is named twice; lines are distinct"
            )),
            None => Ok(pairs),
        }
    }
}

impl Drops {
    /// The ranges of all `--drop`.
    pub(super) fn parse_all(arguments: &[String]) -> Result<Self, String> {
        let mut drops = Self::default();
        for part in arguments.iter().flat_map(|argument| argument.split(',')) {
            let (line, range) = parse_drop(part)?;
            drops.lines[line].push(range);
        }
        for ranges in &mut drops.lines {
            join(ranges);
        }
        Ok(drops)
    }

    /// The parts of `first..end` that the line keeps, in order.
    pub(super) fn kept(&self, line: u8, first: u64, end: u64) -> Vec<(u64, u64)> {
        let mut parts = Vec::new();
        let mut next = first;
        let ranges = &self.lines[usize::from(line)];
        let begin = ranges.partition_point(|(_, last)| *last < first);
        for (from, to) in ranges[begin..].iter().take_while(|(from, _)| *from < end) {
            if *from > next {
                parts.push((next, *from));
            }
            next = to.saturating_add(1).max(next);
        }
        if next < end {
            parts.push((next, end));
        }
        parts
    }

    /// How many numbers are dropped, of the line that drops most.
    pub(super) fn most(&self) -> u64 {
        let count = |ranges: &Vec<(u64, u64)>| {
            ranges.iter().fold(0_u64, |sum, (from, to)| {
                sum.saturating_add(to - from).saturating_add(1)
            })
        };
        self.lines.iter().map(count).max().unwrap_or(0)
    }
}

fn parse_line(part: &str) -> Result<(usize, SocketAddr), String> {
    let wrong =
        |problem: &str| format!("--lines: {part:?} {problem}; write A=GROUP:PORT,B=GROUP:PORT");
    let (name, address) = part.split_once('=').ok_or_else(|| wrong("has no '='"))?;
    let line = line_of(name).ok_or_else(|| wrong("names neither line A nor line B"))?;
    let address = address.parse();
    let address = address.map_err(|_| wrong("has no address of the form GROUP:PORT"))?;
    Ok((line, address))
}

fn parse_drop(part: &str) -> Result<(usize, (u64, u64)), String> {
    let wrong = |problem: &str| format!("--drop: {part:?} {problem}; write A:FROM-TO");
    let (name, range) = part.split_once(':').ok_or_else(|| wrong("has no ':'"))?;
    let line = line_of(name).ok_or_else(|| wrong("names neither line A nor line B"))?;
    let (from, to) = range.split_once('-').unwrap_or((range, range));
    match (from.parse(), to.parse()) {
        (Ok(from), Ok(to)) if from <= to => Ok((line, (from, to))),
        (Ok(_), Ok(_)) => Err(wrong("ends before it begins")),
        _ => Err(wrong("has no two numbers")),
    }
}

fn line_of(name: &str) -> Option<usize> {
    match name {
        "A" | "a" => Some(0),
        "B" | "b" => Some(1),
        _ => None,
    }
}

fn no_b(first: SocketAddr) -> String {
    format!("--lines: A={first} has no B behind it; a channel is A=GROUP:PORT,B=GROUP:PORT")
}

/// Puts ranges in order and joins those that overlap or touch.
pub(super) fn join(ranges: &mut Vec<(u64, u64)>) {
    ranges.sort_unstable();
    ranges.dedup_by(|next, kept| {
        let touches = next.0 <= kept.1.saturating_add(1);
        if touches {
            kept.1 = kept.1.max(next.1);
        }
        touches
    });
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn texts(parts: &[&str]) -> Vec<String> {
        parts.iter().map(|part| (*part).to_owned()).collect()
    }

    /// Channels may stand in one argument or in several, and have IPv6 groups.
    #[test]
    fn lines_are_read() {
        let one = texts(&["A=1.2.3.4:5,B=1.2.3.5:6,A=[ff15::1]:7,B=[ff15::2]:7"]);
        let many = texts(&["A=1.2.3.4:5,B=1.2.3.5:6", "a=[ff15::1]:7", "b=[ff15::2]:7"]);
        let pairs = Pair::parse_all(&one).expect("lines");
        assert_eq!(pairs, Pair::parse_all(&many).expect("lines"));
        let names: Vec<_> = pairs.iter().map(Pair::name).collect();
        assert_eq!(names, ["1.2.3.4:5", "[ff15::1]:7"]);
    }

    /// Whatever is no pair of lines is refused with what is wrong and what to write.
    #[test]
    fn other_lines_are_refused() {
        for (text, words) in [
            ("A", "has no '='"),
            ("C=1.2.3.4:5", "neither line A nor line B"),
            ("A=1.2.3.4", "no address"),
            ("A=1.2.3.4:5", "has no B behind it"),
            ("B=1.2.3.4:5", "follows no A"),
            ("A=1.2.3.4:5,A=1.2.3.4:6", "has no B behind it"),
            ("A=1.2.3.4:5,B=1.2.3.4:5", "named twice"),
        ] {
            let error = Pair::parse_all(&texts(&[text])).expect_err(text);
            assert!(
                error.contains(words) && error.contains("--lines"),
                "{error}"
            );
        }
    }

    /// Ranges to drop are joined; bad ones are refused with what to write.
    #[test]
    fn drops_are_read() {
        let drops = Drops::parse_all(&texts(&["A:5-7,B:9", "A:8-8,A:20-30"])).expect("drops");
        assert_eq!(drops.lines, [vec![(5, 8), (20, 30)], vec![(9, 9)]]);
        assert_eq!(drops.most(), 15);
        for (text, words) in [
            ("A5-7", "has no ':'"),
            ("C:5-7", "neither line A nor line B"),
            ("A:7-5", "ends before it begins"),
            ("A:x-5", "no two numbers"),
        ] {
            let error = Drops::parse_all(&texts(&[text])).expect_err(text);
            assert!(
                error.contains(words) && error.contains("A:FROM-TO"),
                "{error}"
            );
        }
    }

    proptest! {
        /// What is kept of a run is what no range has, in order.
        #[test]
        fn what_is_kept_is_not_dropped(
            ranges in vec((0u64..60, 0u64..9), 0..9),
            first in 0u64..60,
            count in 0u64..20,
        ) {
            let texts: Vec<_> = ranges.iter().map(|(from, more)| format!("A:{from}-{}", from + more)).collect();
            let drops = Drops::parse_all(&texts).expect("drops");
            let kept = drops.kept(0, first, first + count);
            let kept: Vec<_> = kept.into_iter().flat_map(|(first, end)| first..end).collect();
            let is_dropped = |number: &u64| {
                ranges.iter().any(|(from, more)| (*from..=from + more).contains(number))
            };
            let expected: Vec<_> = (first..first + count).filter(|number| !is_dropped(number)).collect();
            prop_assert_eq!(kept, expected);
        }
    }
}
