# Common to the scripts of this folder, which source it. Each runs one program's cases against
# whatever module the environment names, so the same cases run on a vendor's module and on Tandem:
#   P11_MODULE  the module       P11_TOKEN   its token's label
#   P11_PIN     the user PIN     P11_SO_PIN  the SO PIN
#   P11_LOGS    where each case's output is kept (a temporary folder if not given)
# and prints one line a case: `case SUITE.NAME passed|failed|skipped [reason]`.
# shellcheck shell=bash
set -u
: "${P11_MODULE:?}" "${P11_TOKEN:?}" "${P11_PIN:?}" "${P11_SO_PIN:?}"

suite=$(basename "$0" .sh)
programs=$(cd "$(dirname "$0")" && pwd)
# For what can be built or fetched once and used on both sides.
cache=${P11_CACHE:-$(cd "$programs/../.." && pwd)/target/programs}
work=$(mktemp -d)
logs=${P11_LOGS:-$work/logs}
mkdir -p "$logs" "$cache"
background=()
tidy() {
    for process in "${background[@]}"; do kill "$process" 2> /dev/null; done
    wait
    rm -rf "$work"
}
trap tidy EXIT
cd "$work" || exit 1

passed() { echo "case $suite.$1 passed"; }
failed() { echo "case $suite.$1 failed $2"; }
skipped() { echo "case $suite.$1 skipped $2"; }

# check NAME COMMAND...: passed if the command, which may be a function, ends with 0. A function
# runs under `set -e`, so that each of its steps counts.
check() {
    local name=$1 log=$logs/$suite.$1.log
    shift
    (set -e; "$@") > "$log" 2>&1 < /dev/null
    local status=$?
    if [ $status = 0 ]; then
        passed "$name"
    else
        failed "$name" "($status) $(grep -v '^ *$' "$log" | tail -n 1 | cut -c1-160)"
    fi
}

# refuses COMMAND...: the command fails; for what must not be possible.
refuses() { if "$@"; then echo "not refused: $*"; return 1; fi; }

# need PROGRAM...: ends the script with one skipped case if a program is missing.
need() {
    local program
    for program in "$@"; do
        if ! PATH=$PATH:/usr/sbin command -v "$program" > /dev/null; then
            skipped all "no $program on this machine"
            exit 0
        fi
    done
}

# once FOLDER FUNCTION: makes the folder with the function, unless it is there; both sides may ask at
# the same time.
once() {
    (
        flock 9
        set -e
        [ -d "$1" ] || "$2"
    ) 9> "$cache/lock" > "$logs/$suite.$2.log" 2>&1
}

# A call that hangs is a failed case, not a hung run.
limit() { timeout -k 5 "${P11_PATIENCE:-60}" "$@"; }
p11() { limit pkcs11-tool --module "$P11_MODULE" --token-label "$P11_TOKEN" "$@"; }
p11_user() { p11 --login --pin "$P11_PIN" "$@"; }
# shellcheck disable=SC2034 # for the scripts
token_uri=$(printf 'pkcs11:token=%s' "$P11_TOKEN" | sed 's/ /%20/g')
