#!/bin/sh
# Ten thousand mutated calls through the C face under AddressSanitizer: no crash, no byte too many, no leak.
#
#   module/tests/asan.sh [CALLS] [SEED]
#
# The sanitizer is the compiler's own; RUSTC_BOOTSTRAP lets the stable one use it. Everything is built anew for it, in
# a target folder of its own.
set -eu
cd "$(dirname "$0")/../.."

export TANDEM_MUTATIONS="${1:-10000}"
[ -z "${2:-}" ] || export TANDEM_SEED="$2"

host=$(rustc -vV | sed -n 's/^host: //p')
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-target}/asan"
export RUSTC_BOOTSTRAP=1
export RUSTFLAGS="-Zsanitizer=address"
export ASAN_OPTIONS="detect_leaks=1:${ASAN_OPTIONS:-}"

cargo test --locked --package tandem-module --target "$host" --test mutations -- --nocapture
