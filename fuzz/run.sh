#!/usr/bin/env bash
# Every target under libFuzzer, with stable Rust: fuzz/run.sh [TARGET...]
#
#   SECONDS_EACH=60   for how long each is tried
#   ASAN=1            with the compiler's AddressSanitizer, which the stable compiler has behind RUSTC_BOOTSTRAP
#   MERGE=1           what was found new is put into fuzz/corpus, as little of it as covers the same
#
# What is found new is kept in the target folder and goes on from there the next time. What fails is a file there, too, whose name
# is printed.
set -euo pipefail
cd "$(dirname "$0")/.."

each=${SECONDS_EACH:-60}
host=$(rustc -vV | sed -n 's/^host: //p')
out=${CARGO_TARGET_DIR:-$PWD/target}/fuzz
flags='-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4'
flags+=' -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table'
flags+=' -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1 --cfg fuzzing'
if [ -n "${ASAN:-}" ]; then
    export RUSTC_BOOTSTRAP=1
    flags+=' -Zsanitizer=address'
    out=$out-asan
fi

targets=(fuzz/fuzz_targets/*.rs)
targets=("${targets[@]##*/}")
targets=("${targets[@]%.rs}")
[ $# -eq 0 ] || targets=("$@")

RUSTFLAGS=$flags CARGO_TARGET_DIR=$out \
    cargo build --manifest-path fuzz/Cargo.toml --release --locked --target "$host" "${targets[@]/#/--bin=}"

failed=0
for target in "${targets[@]}"; do
    program=$out/$host/release/$target
    found=$out/corpus/$target
    mkdir -p "$found" "$out/failures"
    if "$program" -max_total_time="$each" -rss_limit_mb=4096 -timeout=30 -max_len=8192 -print_final_stats=1 \
        -artifact_prefix="$out/failures/$target-" "$found" "fuzz/corpus/$target" > "$out/$target.log" 2>&1; then
        runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$out/$target.log")
        rate=$(sed -n 's/^stat::average_exec_per_sec: *//p' "$out/$target.log")
        echo "$target: $runs executions, $rate a second, nothing found"
    else
        failed=$((failed + 1))
        echo "$target: FAILED; see $out/$target.log and $out/failures"
        tail -n 30 "$out/$target.log"
    fi
    if [ -n "${MERGE:-}" ]; then
        kept=$(mktemp -d)
        "$program" -set_cover_merge=1 -use_counters=0 -max_len=4096 "$kept" "fuzz/corpus/$target" "$found" > "$out/$target.merge.log" 2>&1
        # What failed once stays.
        find "fuzz/corpus/$target" -type f ! -name 'found-*' -delete
        cp "$kept"/* "fuzz/corpus/$target/"
        rm -rf "$kept"
    fi
done
echo "$((${#targets[@]} - failed)) passed, $failed failed"
[ "$failed" -eq 0 ]
