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

# python_home PACKAGE [source]: an environment with what this script's own .txt names, made once and shared by both sides, in
# $home; its name changes with what is in it. With `source` the package's own source, for its tests, in $home/source. $python is
# the Python it is made with.
python_home() {
    package=$1 wanted=${2:-} home=$cache/$suite-$(sha256sum < "$programs/$suite.txt" | cut -c1-12)
    once "$home" prepare_python
    if [ ! -d "$home" ]; then
        skipped all "$package could not be fetched: $(tail -n 1 "$logs/$suite.prepare_python.log")"
        exit 0
    fi
}
prepare_python() {
    rm -rf "$home.new"
    "${python:-python3}" -m venv "$home.new"
    local pip=("$home.new/bin/python" -m pip --quiet --disable-pip-version-check)
    "${pip[@]}" install -r "$programs/$suite.txt"
    if [ -n "$wanted" ]; then
        "${pip[@]}" download --no-deps --no-binary "$package" --dest "$home.new/source" "$(grep "^$package==" "$programs/$suite.txt")"
        tar -xzf "$home.new"/source/*.tar.gz -C "$home.new/source" --strip-components 1
    fi
    mv "$home.new" "$home"
}

# own_pins SO_PIN USER_PIN: for tests that have PINs of their own.
own_pins() {
    (
        set -e
        p11 --login --login-type so --so-pin "$P11_SO_PIN" --change-pin --new-pin "$1"
        p11 --login --login-type so --so-pin "$1" --init-pin --new-pin "$2"
    ) > "$logs/$suite.pins.log" 2>&1 || failed pins "$(tail -n 1 "$logs/$suite.pins.log")"
}

# client WORDS: what is tried, with its version, for whoever reads the results.
client() { echo "client $*"; }

# A call that hangs is a failed case, not a hung run.
limit() { timeout -k 5 "${P11_PATIENCE:-60}" "$@"; }
p11() { limit pkcs11-tool --module "$P11_MODULE" --token-label "$P11_TOKEN" "$@"; }
p11_user() { p11 --login --pin "$P11_PIN" "$@"; }
# shellcheck disable=SC2034 # for the scripts
token_uri=$(printf 'pkcs11:token=%s' "$P11_TOKEN" | sed 's/ /%20/g')
