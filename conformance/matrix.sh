#!/usr/bin/env bash
# The judge on every module that the tests have, and on Tandem over them: what each run came to, as JSON.
#
#   matrix.sh [DIR [NAME...]]      all runs, or those named; DIR/NAME.json (target/matrix if none is given)
#
# Runs are named after members: softhsm, kryoptic and nss are theirs alone; tandem-softhsm-kryoptic is Tandem over both.
# Tokens are made anew for each run, in memory where they can be. CARGO_TARGET_DIR and TANDEM_KRYOPTIC say where modules are.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
built=${CARGO_TARGET_DIR:-$root/target}/release
into=${1:-$root/target/matrix}
[ $# = 0 ] || shift
names=("$@")
[ $# -gt 0 ] || names=(softhsm kryoptic nss tandem-softhsm tandem-kryoptic tandem-softhsm-kryoptic tandem-kryoptic-kryoptic)

pin=123456 so_pin=12345678
memory=/dev/shm
[ -w $memory ] || memory=${TMPDIR:-/tmp}
memory=$(mktemp -d "$memory/tandem-matrix.XXXXXX")
trap 'rm -rf "$memory"' EXIT
mkdir -p "$into"

# judge MODULE LABEL [OPTION...]
judge() { "$built/p11-conformance" --module "$1" --token "$2" "${@:3}" --json; }

# demo DIR MEMBERS [OPTION...]: tokens of these members; `a` is the first.
demo() { "$built/tandem" demo --dir "$1" --members "$2" "${@:3}" > "$1.log" 2>&1 || { cat "$1.log" >&2; return 1; }; }

softhsm() {
    demo "$1" softhsm --unpaired
    SOFTHSM2_CONF=$1/members/a/softhsm2.conf judge /usr/lib/softhsm/libsofthsm2.so a --may-wipe
}

kryoptic() {
    demo "$1" kryoptic --unpaired
    KRYOPTIC_CONF=$1/members/a/kryoptic.conf judge "${TANDEM_KRYOPTIC:-$built/libkryoptic_pkcs11.so}" a --may-wipe
}

# It takes its parameters in a structure of its own, and there is no security officer's PIN.
nss() {
    local module
    module=$(find /usr/lib -name libsoftokn3.so -print -quit)
    [ -n "$module" ] || { echo "matrix.sh: no NSS softoken; install libnss3" >&2; return 1; }
    mkdir "$1"
    printf '%s\n' $pin > "$1/pin"
    certutil -N -d "sql:$1" -f "$1/pin"
    (unset P11_SO_PIN
    judge "$module" 'NSS Certificate DB' --init "nss:configdir='sql:$1' certPrefix='' keyPrefix='' secmod='secmod.db' flags=")
}

tandem() { # DIR MEMBERS
    demo "$1" "$2" --set log.destination=file:"$1/tandem.log"
    TANDEM_CONFIG=$1/tandem.toml judge "$built/libtandem.so" demo --may-wipe
}

run() { # NAME
    export P11_PIN=$pin P11_SO_PIN=$so_pin
    case $1 in
    tandem-*)
        local members=${1#tandem-}
        tandem "$memory/$1" "${members//-/,}" ;;
    softhsm | kryoptic | nss) "$1" "$memory/$1" ;;
    *) echo "matrix.sh: no such run: $1" >&2; return 1 ;;
    esac
}

# A run that finds failures is a run; one that comes to nothing isn't.
for name in "${names[@]}"; do
    began=$SECONDS
    run "$name" > "$into/$name.json.new" || true
    if [ ! -s "$into/$name.json.new" ]; then
        echo "matrix.sh: $name came to nothing" >&2
        exit 1
    fi
    mv "$into/$name.json.new" "$into/$name.json"
    echo "$name: $((SECONDS - began)) s"
done
