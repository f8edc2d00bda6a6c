#!/bin/sh
# What tests need beyond `make`'s own needs, else they skip and say so: network namespaces and veth
# pairs (iproute2, ethtool), XDP links of the kernel (bpftool), the compiler of the steering
# program (clang 14), capabilities taken away (util-linux' setpriv), power cuts and exact points of
# death for the journal (xfsprogs, e2fsprogs, strace), packets that vanish (nftables).
set -eu

packages=""
need() { # a command, the package that has it
    command -v "$1" >/dev/null 2>&1 || [ -x "/usr/sbin/$1" ] || packages="$packages $2"
}
need ip iproute2
need ethtool ethtool
need bpftool bpftool
need clang-14 clang-14
need llvm-strip-14 llvm-14
need setpriv util-linux
need xfs_io xfsprogs
need mkfs.ext4 e2fsprogs
need strace strace
need nft nftables
[ -z "$packages" ] && exit 0
if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
    echo "installing$packages"
    apt-get update -qq
    # shellcheck disable=SC2086 # the list is split on purpose
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $packages >/dev/null
else
    echo "tests that need them will skip; as root: apt-get install$packages" >&2
fi
