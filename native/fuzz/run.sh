#!/bin/sh
# libFuzzer over every target, or over those named: run.sh [TARGET...]
#
# Needs no nightly compiler: the coverage pass that libFuzzer reads is in the stable one. It does
# need a C++ compiler, for libFuzzer itself; without one the bounded run is made longer instead.
#
# TICKDECK_FUZZ_SECONDS   for each target, 60
# TICKDECK_FUZZ_CORPUS    folder of corpora, corpus/ beside this file; what was found stays there
set -eu
cd "$(dirname "$0")"
seconds=${TICKDECK_FUZZ_SECONDS:-60}
corpora=${TICKDECK_FUZZ_CORPUS:-$PWD/corpus}

if ! command -v c++ >/dev/null; then
    echo "NO C++ COMPILER: libFuzzer cannot be built, so no path is looked for; install g++." >&2
    echo "Instead every target runs over 1,000,000 blindly mutated inputs." >&2
    cd ..
    TICKDECK_FUZZ_EXECUTIONS=1000000 exec cargo test --release --locked -q -p tickdeck-fuzzing
fi

# No argument: every binary of Cargo.toml.
[ $# -gt 0 ] || set -- $(sed -n 's/^name = "\(.*\)"$/\1/p' Cargo.toml | grep -v tickdeck-fuzz)

# Seeds first: their program is an ordinary one and must not be built with the flags below.
for target in "$@"; do
    mkdir -p "$corpora/$target" "artifacts/$target"
    (cd .. && cargo run --locked -q -p tickdeck-fuzzing --example seeds -- \
        "$target" "$corpora/$target")
done

host=$(rustc -vV | sed -n 's/^host: //p')
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$PWD/target}/libfuzzer"
export RUSTFLAGS="--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters
    -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares"
# With --target, build scripts and macros are left as they are.
cargo build --release --locked -q --target "$host"

failed=
for target in "$@"; do
    echo "== $target: $seconds s"
    "$CARGO_TARGET_DIR/$host/release/$target" "$corpora/$target" \
        -max_total_time="$seconds" -max_len=4096 -timeout=10 -rss_limit_mb=1024 \
        -malloc_limit_mb=256 -print_final_stats=1 -artifact_prefix="artifacts/$target/" \
        2>"artifacts/$target/log" || failed="$failed $target"
    grep -E 'panicked|ERROR|DONE|stat::(number|average|peak)|Test unit written' \
        "artifacts/$target/log" || true
done
[ -z "$failed" ] || { echo "FAILED:$failed; inputs are in $PWD/artifacts" >&2; exit 1; }
