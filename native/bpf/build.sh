#!/bin/sh
# Compiles the steering programs into a folder (default: where the receiver embeds them).
# Needs clang 14, as on Debian 12: another version makes other bytes, and the test that compares
# the checked-in objects with the source would fail.
set -eu
cd "$(dirname "$0")"
out=${1:-../crates/net/src/af_xdp}
clang=${CLANG:-clang-14}
build() { # output, options
    # -g for the BTF of the maps; the rest of the debug information names folders, so it goes.
    "$clang" -target bpf -mcpu=v3 -O2 -g -Wall -Wextra -Wno-unused-parameter -Werror \
        -ffile-prefix-map="$PWD"=. $2 -c steer.bpf.c -o "$out/$1"
    "${STRIP:-llvm-strip-14}" --strip-debug "$out/$1"
}
build steer.bpf.o ""
build steer_stamped.bpf.o -DRX_TIMESTAMP
