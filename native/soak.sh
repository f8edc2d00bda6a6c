#!/bin/sh
# The long versions of the journal's proofs: soak.sh [STEP...]; without a name, all steps.
#
# Prints what each step found and appends it, one JSON object a line, to target/soak-report.jsonl.
# A step that fails does not keep the others from running; the exit code tells.
#
# TICKDECK_TORTURE_CUTS     kills; power cuts are half as many, 100000
# TICKDECK_CRASH_SEEDS      seeds of the simulated disk, 10000000
# TICKDECK_RETENTION_CASES  histories of the retention, 10000000
# TICKDECK_DIFFERENTIAL_PACKETS  packets of each protocol for the reference decoders, 1000000
# TICKDECK_SOAK_SEED        seed of the torture, the day's number
set -u
cd "$(dirname "$0")/.."
export TICKDECK_TORTURE_CUTS="${TICKDECK_TORTURE_CUTS:-100000}"
export TICKDECK_CRASH_SEEDS="${TICKDECK_CRASH_SEEDS:-10000000}"
export TICKDECK_RETENTION_CASES="${TICKDECK_RETENTION_CASES:-10000000}"
export TICKDECK_DIFFERENTIAL_PACKETS="${TICKDECK_DIFFERENTIAL_PACKETS:-1000000}"
seed=${TICKDECK_SOAK_SEED:-$(($(date +%s) / 86400))}
report=$PWD/target/soak-report.jsonl
mkdir -p target
failed=

# step NAME COMMAND...: the last line of its output is the result, JSON or text.
step() {
    name=$1
    shift
    case " $wanted " in *" $name "* | "  ") ;; *) return ;; esac
    echo "== $name: $*"
    begin=$(date +%s)
    output=$("$@")
    code=$?
    printf '%s\n' "$output"
    result=$(printf '%s\n' "$output" | grep -v '^$' | grep -E '^\{|seeds from|cases|differences|test result' | tail -1)
    case $result in
    '{'*) ;;
    *) result="\"$(printf '%s' "$result" | tr -d '"\\')\"" ;;
    esac
    printf '{"step":"%s","time":"%s","seconds":%s,"exit":%s,"result":%s}\n' "$name" \
        "$(date -u +%Y-%m-%dT%H:%M:%SZ)" $(($(date +%s) - begin)) $code "$result" >>"$report"
    [ $code -eq 0 ] || failed="$failed $name"
}

journal_test() {
    (cd native && cargo test --release --locked -q -p tickdeck-journal --lib -- --nocapture "$1")
}

failpoints() {
    (cd native && TICKDECK_FAILPOINT_POLICIES=interval,batch,always cargo test --release --locked -q \
        -p tickdeck-journal --features failpoints --test failpoints -- --nocapture)
}

fuzzing_test() {
    (cd native && cargo test --release --locked -q -p tickdeck-fuzzing --test "$1" -- --nocapture)
}

torture() {
    tickdeck-journal torture --json --seed "$seed" "$@"
}

mac_timing() {
    (cd native && cargo test --release --locked -q -p tickdeck-export --test timing -- --ignored --nocapture)
}

wanted="$*"
step kill torture --kind kill --cuts "$TICKDECK_TORTURE_CUTS"
for policy in interval batch always; do
    step syscalls torture --kind syscalls --policy $policy --cuts 1000000
done
step failpoints failpoints
step errors torture --kind errors --cuts $((TICKDECK_TORTURE_CUTS / 20))
step power torture --kind power --cuts $((TICKDECK_TORTURE_CUTS / 4)) # on each of two
step crash-seeds journal_test crash_seeds
step retention journal_test retention
step differential fuzzing_test differential
step mac-timing mac_timing
echo "report: $report"
[ -z "$failed" ] || { echo "FAILED:$failed" >&2; exit 1; }
