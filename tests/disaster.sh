#!/bin/sh
# The loss of everything, with OpenDNSSEC: keys sign only once they are backed up; a zone is signed and its ZSK rolled; then
# both members and the state folder are destroyed. New tokens, each of the other vendor, get the key ring by three of five
# shares and the keys from the bundles, and the zone is signed again under the same DNSKEYs.
#
# Needs root (mounts and a network of its own) and `make build members`.
set -eu
cd "$(dirname "$0")/.."
if [ "${1:-}" = phase ]; then
    # Called by examples/opendnssec.sh after each phase, in its folder.
    safe=$TANDEM_DEMO-safe
    count=$(find "$safe" -name '*.bundle' | wc -l)
    case $2 in
    stock)
        "$TANDEM_TOOL" backup run --commit --opendnssec --out "$safe/$count.bundle"
        ods-enforcer backup list 2>&1 | tail -n 3
        ;;
    lost)
        mkdir "$safe/shares" # three of five
        for share in 1 3 5; do cp "$TANDEM_DEMO/shares/share-$share.txt" "$safe/shares/"; done
        rm -rf "$TANDEM_DEMO"
        "$TANDEM_TOOL" demo --dir "$TANDEM_DEMO" --members kryoptic,softhsm --unpaired \
            --set policy.require_backup=enforce > /dev/null
        "$TANDEM_TOOL" restore "$safe"/*.bundle --shares "$safe/shares"
        "$TANDEM_TOOL" verify | tail -n 1
        ;;
    esac
    exit
fi

if [ "$(id -u)" != 0 ]; then
    echo "disaster: skipped: needs root, for mounts and a network of its own"
    exit 0
fi
artefacts=$(realpath "${TANDEM_ARTIFACTS:-target/release}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
TANDEM_TOOL=$artefacts/tandem TANDEM_DEMO=$work/demo
TANDEM_CONFIG=$TANDEM_DEMO/tandem.toml TANDEM_PIN=123456
export TANDEM_TOOL TANDEM_DEMO TANDEM_CONFIG TANDEM_PIN
mkdir "$TANDEM_DEMO-safe"
"$TANDEM_TOOL" demo --dir "$TANDEM_DEMO" --set policy.require_backup=enforce > "$work/demo.out" ||
    { cat "$work/demo.out" >&2; exit 1; }

# The daemons listen on fixed ports: a network of its own keeps two runs, and a host's own, apart.
unshare --net sh -c 'ip link set lo up; exec "$@"' sh \
    sh examples/opendnssec.sh -b -l -d "$work/ods" -c "$(pwd)/tests/disaster.sh phase" \
    "$artefacts/libtandem.so" demo "$TANDEM_PIN" "${1:-100}"
