#!/usr/bin/env bash
# Is Tandem a drop-in? Runs every script of this folder on SoftHSM alone and on Tandem over two
# members, once of two kinds and once of the same, each time with fresh tokens, and compares case by case: what passes on SoftHSM
# must pass on Tandem, unless accepted.txt says why it can't. SoftHSM itself fails some cases; so may Tandem.
#
#   compare.sh [SCRIPT...]                      all scripts, or those named (without .sh)
#   compare.sh --alone softhsm [SCRIPT...]      SoftHSM alone, to see what it does
#   compare.sh --alone kryoptic [SCRIPT...]     the other member's module alone: what fails there too
#                                               can be a reason in accepted.txt
# TANDEM_MEMBERS chooses the members ("softhsm,kryoptic softhsm,softhsm" if not given: two layers); CARGO_TARGET_DIR and
# TANDEM_KRYOPTIC say where modules are.
# What came of it is in target/programs/results, together with what came of other scripts before; summary.json there is what
# docs/support.md is made of.
set -uo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
built=${CARGO_TARGET_DIR:-$root/target}/release
read -ra layers <<< "${TANDEM_MEMBERS:-softhsm,kryoptic softhsm,softhsm}"
cache=$root/target/programs
results=$cache/results
pin=123456 so_pin=12345678
# Tokens are in memory where they can be: what is compared is not the disk.
memory=$cache
[ ! -w /dev/shm ] || memory=/dev/shm
mkdir -p "$cache"
memory=$(mktemp -d "$memory/tandem-programs.XXXXXX")
trap 'rm -rf "$memory"' EXIT

sides=(softhsm "${layers[@]/#/over-}")
if [ "${1:-}" = --alone ]; then
    sides=("$2")
    shift 2
fi
scripts=("$@")
[ $# -gt 0 ] || scripts=(opendnssec pkcs11-check cryptoki pkcs11-tool java python-pkcs11 pykcs11 miekg-pkcs11 p11tool openssl ssh)

softhsm=
for candidate in /usr/lib/softhsm/libsofthsm2.so /usr/lib/*/softhsm/libsofthsm2.so; do
    if [ -e "$candidate" ]; then softhsm=$candidate; break; fi
done
[ -n "$softhsm" ] || { echo "compare.sh: no SoftHSM; run scripts/setup.sh test" >&2; exit 1; }

# fresh SIDE FOLDER: a new token, and the environment that reaches it.
fresh() {
    export P11_PIN=$pin P11_SO_PIN=$so_pin P11_TOKEN=demo P11_CACHE=$cache
    # SoftHSM beside whatever is tried, for programs that use two modules at once.
    mkdir "$2/softhsm"
    echo "directories.tokendir = $2/softhsm" > "$2/softhsm2.conf"
    export SOFTHSM2_CONF=$2/softhsm2.conf P11_SECOND=$softhsm
    case $1 in
    softhsm)
        export P11_MODULE=$softhsm
        softhsm2-util --module "$softhsm" --init-token --free --label $P11_TOKEN --pin $pin --so-pin $so_pin ;;
    kryoptic)
        printf '[[slots]]\nslot = 1\ndbtype = "sqlite"\ndbargs = "%s"\n' "$2/token.sql" > "$2/kryoptic.conf"
        export KRYOPTIC_CONF=$2/kryoptic.conf P11_MODULE=${TANDEM_KRYOPTIC:-$built/libkryoptic_pkcs11.so}
        pkcs11-tool --module "$P11_MODULE" --slot 1 --init-token --label $P11_TOKEN --so-pin $so_pin
        pkcs11-tool --module "$P11_MODULE" --slot 1 --login --login-type so --so-pin $so_pin --init-pin --new-pin $pin ;;
    over-*)
        "$built/tandem" demo --dir "$2/demo" --members "${1#over-}"
        export TANDEM_CONFIG=$2/demo/tandem.toml P11_MODULE=$built/libtandem.so
        export P11_MEMBERS=$2/demo/members PATH=$built:$PATH ;;
    esac
}
# start SCRIPT: those with servers, some of them on fixed ports, get a network of their own where that may be, so that the
# two sides, and a host's own servers, don't meet. Others fetch what they need once.
start() {
    case $1 in opendnssec | openssl | ssh)
        if unshare --net true 2> /dev/null; then
            # shellcheck disable=SC2016 # sh expands it
            unshare --net sh -c 'ip link set lo up; exec "$0"' "$here/$1.sh"
            return
        fi ;;
    esac
    "$here/$1.sh"
}
run() { # SIDE SCRIPT
    local side=$1 script=$2 token began=$SECONDS
    export P11_LOGS=$results/$side/$script
    mkdir -p "$P11_LOGS"
    token=$(mktemp -d "$memory/token.XXXXXX")
    if fresh "$side" "$token" > "$P11_LOGS/fresh.log" 2>&1; then
        start "$script" > "$results/$side/$script.out" 2>&1
    else
        echo "case $script.fresh-token failed $(tail -n 1 "$P11_LOGS/fresh.log")" > "$results/$side/$script.out"
    fi
    grep '^case ' "$results/$side/$script.out" > "$results/$side/$script.cases"
    echo $((SECONDS - began)) > "$results/$side/$script.seconds"
    rm -rf "$token"
}
count() { awk -v o="$2" '$3 == o { n++ } END { print n + 0 }' "$1"; }
summary() { # SIDE SCRIPT
    local cases=$results/$1/$2.cases
    printf '%-14s %-22s %4d passed %4d failed %4d skipped %5d s\n' "$2" "$1" "$(count "$cases" passed)" \
        "$(count "$cases" failed)" "$(count "$cases" skipped)" "$(cat "$results/$1/$2.seconds")"
}

# What came of scripts that aren't named stays: the verdict is over all.
for side in "${sides[@]}"; do
    for script in "${scripts[@]}"; do rm -rf "${results:?}/$side/$script" "${results:?}/$side/$script".*; done
done
mkdir -p "$results"
# The long ones first, and no more at a time than there are cores: a call that is slow because of the others would look
# like one that hangs.
for script in "${scripts[@]}"; do
    for side in "${sides[@]}"; do
        while [ "$(jobs -rp | wc -l)" -ge "$(nproc)" ]; do wait -n; done
        run "$side" "$script" &
    done
done
wait
for script in "${scripts[@]}"; do
    for side in "${sides[@]}"; do summary "$side" "$script"; done
done

if [ ${#sides[@]} = 1 ]; then
    echo
    for script in "${scripts[@]}"; do grep -hv ' passed$' "$results/${sides[0]}/$script.cases"; done
    exit 0
fi

# Names of cases hold no spaces; in a pattern of accepted.txt * stands for anything.
judge() { # SIDE
    awk '
        function expression(pattern) {
            gsub(/[^A-Za-z0-9_*]/, "\\\\&", pattern)
            gsub(/\*/, ".*", pattern)
            return "^" pattern "$"
        }
        function accepted(name,    i) {
            for (i = 1; i <= patterns; i++) {
                if (name ~ accept[i]) {
                    used[i] = 1
                    return reason[i]
                }
            }
            return ""
        }
        FNR == 1 { file++ }
        file == 1 {
            if ($0 !~ /^ *(#|$)/) { accept[++patterns] = expression($1); shown[patterns] = $1; $1 = ""; sub(/^ */, ""); reason[patterns] = $0 }
            next
        }
        file == 2 { softhsm[$2] = $3; next }
        { name = $2; tandem[name] = $3; sub(/^[^ ]* [^ ]* /, ""); words[name] = $0 }
        END {
            for (name in softhsm) {
                if (tandem[name] == "passed") { passed++; if (softhsm[name] != "passed") better++; continue }
                if (softhsm[name] != "passed") { if (tandem[name] == "failed") both++; skipped++; continue }
                why = accepted(name)
                if (why != "") { known++; skipped++; print "accepted " name ": " why; continue }
                failed++
                print "different " name ": passed on SoftHSM, here " (name in words ? words[name] : "it did not run")
            }
            # What only Tandem can be asked, such as to go on without a member.
            for (name in tandem) if (!(name in softhsm)) {
                if (tandem[name] != "failed") { passed++; continue }
                why = accepted(name)
                if (why != "") { known++; skipped++; print "accepted " name ": " why; continue }
                failed++
                print "different " name ": here " words[name]
            }
            for (i = 1; i <= patterns; i++) if (!used[i]) print "unused " shown[i]
            print "total " better + 0 " cases pass here and not on SoftHSM, " both + 0 " fail on both, " known + 0 " are accepted"
            print "closing programs: " passed + 0 " passed, " failed + 0 " failed, " skipped + 0 " skipped"
        }
    ' "$here/accepted.txt" <(cat "$results"/softhsm/*.cases) <(cat "$results/$1"/*.cases) > "$results/$1/verdict"
}
for layer in "${layers[@]}"; do judge "over-$layer"; done

# The same for whoever counts. Cases begin with their script's name.
json_count() { printf '{"passed": %d, "failed": %d, "skipped": %d}' "$(count "$1" passed)" "$(count "$1" failed)" "$(count "$1" skipped)"; }
text() { sed 's/\\/\\\\/g; s/"/\\"/g'; }
told() { # LAYER
    local side=over-$1 script between=
    printf '{"alone": "softhsm", "members": "%s", "programs": [\n' "$1"
    for script in $(find "$results/$side" -maxdepth 1 -name "*.cases" -printf "%f\n" | sed "s/.cases$//" | sort); do
        printf '%s{"name": "%s", "what": "%s", "alone": %s, "layer": %s, "accepted": %d, "different": %d}' "$between" "$script" \
            "$(sed -n 's/^client //p' "$results/$side/$script.out" | head -n 1 | text)" \
            "$(json_count "$results/softhsm/$script.cases")" "$(json_count "$results/$side/$script.cases")" \
            "$(grep -c "^accepted $script\\." "$results/$side/verdict")" "$(grep -c "^different $script\\." "$results/$side/verdict")"
        between=$',\n'
    done
    printf '], "accepted": [\n%s]}\n' "$(sed -n 's/^accepted //p' "$results/$side/verdict" | sort | text |
        sed 's/^\([^ ]*\): \(.*\)$/{"case": "\1", "reason": "\2"}/; $!s/$/,/')"
}
{
    between='['
    for layer in "${layers[@]}"; do
        printf '%s' "$between"
        told "$layer"
        between=','
    done
    echo ']'
} > "$results/summary.json"

different=0
for layer in "${layers[@]}"; do
    say() { sed -n "s/^$1 /$2/p" "$results/over-$layer/verdict" | sort; }
    echo
    echo "over $layer:"
    say accepted 'accepted: '
    say different 'DIFFERENT: '
    say total ''
    say closing ''
    ! grep -q '^different ' "$results/over-$layer/verdict" || different=1
done
# What one layer can't do another may.
if [ $# -eq 0 ]; then
    for layer in "${layers[@]}"; do grep '^unused ' "$results/over-$layer/verdict"; done | sort | uniq -c |
        awk -v layers="${#layers[@]}" '$1 == layers { print "in accepted.txt, but not needed: " $3 }'
fi
echo "each case's output: ${results#"$root/"}"
exit $different
