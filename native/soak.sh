#!/bin/sh
# The long versions of the journal's and the export's proofs: soak.sh [STEP...]; without a name, all
# steps. Needs `make install`; step power needs root, xfsprogs and e2fsprogs, syscalls and errors need
# strace, promises needs all of these.
#
# Prints what each step found and appends it, one JSON object a line, to target/soak-report.jsonl.
# A step that fails does not keep the others from running; the exit code tells.
#
# TICKDECK_TORTURE_CUTS     kills; power cuts are half as many, 100000
# TICKDECK_SYSCALL_CUTS     system calls under each of three policies at most, all of them
# TICKDECK_CRASH_SEEDS      seeds of the simulated disk, 10000000
# TICKDECK_EXPORT_SEEDS     worlds of the export's simulation, 10000
# TICKDECK_RETENTION_CASES  steps of the retention's histories, 10000000
# TICKDECK_DAMAGE_CASES     random damages for each codec, 1000000
# TICKDECK_DAMAGE_STRIDE    distance between bits and lengths that are damaged, 1
# TICKDECK_DAMAGE_SEGMENT_BYTES  in segments of this size, 65536
# TICKDECK_DIFFERENTIAL_PACKETS  packets of each protocol for the reference decoders, 1000000
# TICKDECK_LATENCY_ROUNDS   rounds of the books beside a slow journal and beside a fast one, 5
# TICKDECK_SOAK_SEED        seed of the torture, the day's number
set -u
cd "$(dirname "$0")/.."
export TICKDECK_TORTURE_CUTS="${TICKDECK_TORTURE_CUTS:-100000}"
export TICKDECK_CRASH_SEEDS="${TICKDECK_CRASH_SEEDS:-10000000}"
export TICKDECK_EXPORT_SEEDS="${TICKDECK_EXPORT_SEEDS:-10000}"
export TICKDECK_RETENTION_CASES="${TICKDECK_RETENTION_CASES:-10000000}"
export TICKDECK_DAMAGE_CASES="${TICKDECK_DAMAGE_CASES:-1000000}"
export TICKDECK_DAMAGE_STRIDE="${TICKDECK_DAMAGE_STRIDE:-1}"
export TICKDECK_DIFFERENTIAL_PACKETS="${TICKDECK_DIFFERENTIAL_PACKETS:-1000000}"
syscalls=${TICKDECK_SYSCALL_CUTS:-1000000}
seed=${TICKDECK_SOAK_SEED:-$(($(date +%s) / 86400))}
report=$PWD/target/soak-report.jsonl
PATH=$PWD/.venv/bin:$PATH
steps="kill syscalls failpoints errors power crash-seeds damage retention"
steps="$steps export-seeds differential mac-timing slow-journal promises idle-channels"
wanted="$*"
for name in $wanted; do
    case " $steps " in *" $name "*) ;; *)
        echo "soak.sh: no step $name; there are: $steps" >&2
        exit 2
        ;;
    esac
done
command -v tickdeck-journal >/dev/null || {
    echo "soak.sh: tickdeck-journal is not installed; run make install" >&2
    exit 2
}
mkdir -p target
failed=
figures='^\{|seeds from|steps:|damages|packets of captures|^t = '

# step NAME COMMAND...: its last line of figures is the result, JSON or text, or else cargo's verdict.
step() {
    name=$1
    shift
    case " $steps " in *" $name "*) ;; *)
        echo "soak.sh: step $name is not in the list of steps" >&2
        exit 2
        ;;
    esac
    case " $wanted " in *" $name "* | "  ") ;; *) return ;; esac
    echo "== $name: $*"
    begin=$(date +%s)
    output=$("$@")
    code=$?
    printf '%s\n' "$output"
    result=$(printf '%s\n' "$output" | grep -E "$figures" | tail -1)
    [ -n "$result" ] || result=$(printf '%s\n' "$output" | grep '^test result' | tail -1)
    case $result in
    '{'*) ;;
    *) result="\"$(printf '%s' "$result" | tr -d '"\\')\"" ;;
    esac
    printf '{"step":"%s","time":"%s","seconds":%s,"exit":%s,"result":%s}\n' "$name" \
        "$(date -u +%Y-%m-%dT%H:%M:%SZ)" $(($(date +%s) - begin)) $code "$result" >>"$report"
    [ $code -eq 0 ] || failed="$failed $name"
}

# crate_test CRATE ARGUMENT...: tests of a crate, in release; with what they print.
crate_test() {
    (cd native && cargo test --release --locked -q -p "$@" --nocapture)
}

failpoints() {
    (
        export TICKDECK_FAILPOINT_POLICIES=interval,batch,always
        crate_test tickdeck-journal --features failpoints --test failpoints --
    )
}

# What is promised within a time, held to it: the machine must be quiet.
promises() {
    (
        export TICKDECK_TEST_TIMES=promised TICKDECK_TEST_PRIVILEGED=require
        crate_test tickdeck-worker --test export --test rx --test subscribe -- --test-threads=1 &&
            crate_test tickdeck-journal --test devices -- --test-threads=1
    )
}

torture() {
    tickdeck-journal torture --json --seed "$seed" "$@"
}

step kill torture --kind kill --cuts "$TICKDECK_TORTURE_CUTS"
for policy in interval batch always; do
    step syscalls torture --kind syscalls --policy $policy --cuts "$syscalls"
done
step failpoints failpoints
step errors torture --kind errors --cuts $((TICKDECK_TORTURE_CUTS / 20))
step power torture --kind power --cuts $((TICKDECK_TORTURE_CUTS / 4)) # on each of two
step crash-seeds crate_test tickdeck-journal --lib -- crash_seeds
step damage crate_test tickdeck-journal --test journal -- damage
step retention crate_test tickdeck-journal --lib -- retention
step export-seeds crate_test tickdeck-export --test provider -- simulation
step differential crate_test tickdeck-fuzzing --test differential --
step mac-timing crate_test tickdeck-export --test timing -- --ignored
step promises promises
step slow-journal crate_test tickdeck-worker --test book -- --ignored slow_journal
step idle-channels crate_test tickdeck-worker --lib -- --ignored idle_channels
echo "report: $report"
[ -z "$failed" ] || { echo "FAILED:$failed" >&2; exit 1; }
