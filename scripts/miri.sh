#!/bin/sh
# What has unsafe code and loads no library, under Miri: the C face's reading and writing of an application's memory, the vendor
# calls' arguments and answers over functions that are tests' own, and the C face whole over toy members with the fuzzer's corpus.
#
#   scripts/miri.sh [face|vendor|arguments...]     all of them unless some are named
#
# It needs nightly Rust with Miri. What it can't know (SQLite, loaded libraries, pages of their own) those tests leave out.
set -eu
cd "$(dirname "$0")/.."

if ! cargo +nightly miri --version > /dev/null 2>&1; then
    echo "miri.sh: Miri is missing: rustup toolchain install nightly --component miri,rust-src" >&2
    exit 1
fi

export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-target}/miri"
# Some ask for the time, and for files of a corpus.
export MIRIFLAGS="-Zmiri-disable-isolation ${MIRIFLAGS:-}"

try() { cargo +nightly miri test --locked "$@"; }

[ $# -gt 0 ] || set -- face vendor arguments
for part in "$@"; do
    case $part in
    face) try --package tandem-module --lib abi:: ;;
    vendor)
        try --package tandem-vendor --lib -- \
            decode:: encode:: function_list:: objects:: output:: parameter:: read:: ;;
    arguments)
        TANDEM_FUZZ_TARGETS=arguments TANDEM_FUZZ_SECONDS=0 \
            try --package tandem-fuzz --test short no_target_fails ;;
    *) echo "miri.sh: no such part: $part (face vendor arguments)" >&2; exit 2 ;;
    esac
done
