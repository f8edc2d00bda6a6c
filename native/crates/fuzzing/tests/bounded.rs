//! Every target over its seeds and over a fixed number of mutated inputs: the part of the fuzzing
//! that needs neither another compiler nor time.
//!
//! `TICKDECK_FUZZ_SEED` gives other inputs, `TICKDECK_FUZZ_EXECUTIONS` more of them. A failure names
//! both and the input itself.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use tickdeck_fuzzing::{Mutator, TARGETS, Target};

/// No input of any target breaks its property.
#[test]
fn every_target_holds() {
    let seed = number("TICKDECK_FUZZ_SEED").unwrap_or(1);
    for target in TARGETS {
        let seeds = (target.seeds)();
        assert!(!seeds.is_empty(), "{} has no seed", target.name);
        for (index, bytes) in seeds.iter().enumerate() {
            run(target, bytes, &format!("seed input {index}"));
        }
        let executions = number("TICKDECK_FUZZ_EXECUTIONS").unwrap_or(target.executions.into());
        for execution in 0..executions {
            let bytes = Mutator::new(seed, execution).input(&seeds);
            let which = format!("TICKDECK_FUZZ_SEED={seed}, execution {execution}");
            run(target, &bytes, &which);
        }
    }
}

/// The same seed gives the same inputs, another one others.
#[test]
fn a_seed_fixes_the_inputs() {
    let seeds = (TARGETS[0].seeds)();
    let inputs = |seed| -> Vec<_> {
        let one = |execution| Mutator::new(seed, execution).input(&seeds);
        (0..50).map(one).collect()
    };
    assert_eq!(inputs(1), inputs(1));
    assert_ne!(inputs(1), inputs(2));
}

fn run(target: &Target, bytes: &[u8], which: &str) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| (target.run)(bytes))) {
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        eprintln!("target {} failed at {which}; input: {hex}", target.name);
        resume_unwind(panic);
    }
}

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    let number = text.parse();
    Some(number.unwrap_or_else(|_| panic!("{name}={text:?} is not a number")))
}

/// libFuzzer has a binary for each target, and none for anything else.
#[test]
fn every_target_has_a_fuzz_binary() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz");
    let manifest = std::fs::read_to_string(format!("{folder}/Cargo.toml")).expect("the manifest");
    let bins: Vec<&str> = manifest
        .split("[[bin]]")
        .skip(1)
        .map(|bin| bin.split('"').nth(1).expect("a name in quotes"))
        .collect();
    let names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
    assert_eq!(bins, names);
    for name in names {
        let path = format!("{folder}/fuzz_targets/{name}.rs");
        let source = std::fs::read_to_string(&path).expect("a source for each binary");
        assert!(
            source.contains(&format!("run(\"{name}\", bytes)")),
            "{path}"
        );
    }
}
