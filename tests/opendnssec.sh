#!/bin/sh
# OpenDNSSEC over Tandem over two vendors: a zone of 1,000 names is signed, its ZSK rolled, and each
# member taken away and brought back, with every result verified offline. Afterwards every copy of
# every key is proven anew. Needs root (mounts and a network of its own) and `make build members`.
set -eu
cd "$(dirname "$0")/.."
if [ "$(id -u)" != 0 ]; then
    echo "opendnssec: skipped: needs root, for mounts and a network of its own"
    exit 0
fi
artefacts=$(realpath "${TANDEM_ARTIFACTS:-target/release}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$artefacts/tandem" demo --dir "$work/demo" > "$work/demo.out" || { cat "$work/demo.out" >&2; exit 1; }
TANDEM_CONFIG=$work/demo/tandem.toml
TANDEM_PIN=123456
export TANDEM_CONFIG TANDEM_PIN

# The daemons listen on fixed ports: a network of its own keeps two runs, and a host's own, apart.
unshare --net sh -c 'ip link set lo up; exec "$@"' sh \
    sh examples/opendnssec.sh -d "$work/ods" -m "$work/demo/members" \
    "$artefacts/libtandem.so" demo "$TANDEM_PIN" "${1:-1000}"

"$artefacts/tandem" verify > "$work/verify.out" || { cat "$work/verify.out" >&2; exit 1; }
tail -n 1 "$work/verify.out"
