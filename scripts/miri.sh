#!/bin/sh
# What has unsafe code and loads no library, under Miri: the C face's reading and writing of an application's memory, and the
# vendor calls' arguments and answers over functions that are tests' own.
#
#   scripts/miri.sh [face|vendor...]     both unless one is named
#
# It needs nightly Rust with Miri. What Miri can't know (pages of their own, millions of bytes) those tests leave out.
set -eu
cd "$(dirname "$0")/.."

if ! cargo +nightly miri --version > /dev/null 2>&1; then
    echo "miri.sh: Miri is missing: rustup toolchain install nightly --component miri,rust-src" >&2
    exit 1
fi

export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-target}/miri"
# Some ask for the time.
export MIRIFLAGS="-Zmiri-disable-isolation ${MIRIFLAGS:-}"

try() { cargo +nightly miri test --locked "$@"; }

[ $# -gt 0 ] || set -- face vendor
for part in "$@"; do
    case $part in
    face) try --package tandem-module --lib abi:: ;;
    vendor)
        try --package tandem-vendor --lib -- \
            decode:: encode:: function_list:: objects:: output:: parameter:: read:: ;;
    *) echo "miri.sh: no such part: $part (face vendor)" >&2; exit 2 ;;
    esac
done
