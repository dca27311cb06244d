#!/usr/bin/env bash
# OpenDNSSEC: a zone of 1,000 names signed, its ZSK rolled, and, where P11_MEMBERS names the folder
# of a virtual token's members, signed again with each member away. Each phase is a case.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
need ods-enforcerd ods-signerd ods-hsmutil ldns-verify-zone dnssec-verify
client "$(ods-enforcerd -V 2>&1 | head -n 1 | sed 's/ version//')"
if [ "$(id -u)" != 0 ]; then
    skipped all "needs root, for mounts of its own"
    exit 0
fi

# What the members were like after each phase is kept for whoever reads a failure.
cat > look << 'LOOK'
#!/bin/sh
echo "after $*"
tandem status 2>&1
LOOK
chmod 700 look
options=()
if [ -n "${P11_MEMBERS:-}" ]; then options=(-m "$P11_MEMBERS" -c "$work/look"); fi

example=$programs/../../examples/opendnssec.sh
for algorithm in 13 8; do
    log=$logs/opendnssec.$algorithm.log
    P11_PATIENCE=600 limit "$example" -a $algorithm -d "$logs/files.$algorithm" "${options[@]}" \
        "$P11_MODULE" "$P11_TOKEN" "$P11_PIN" 1000 > "$log" 2>&1
    status=$?
    sed -n 's/^phase \([a-z]*\) \([^ ]*\) *ok .*/\1 \2/p' "$log" | tr -s ' ' '-' | sed 's/-$//' |
        while read -r phase; do passed "$algorithm.$phase"; done
    if [ $status != 0 ]; then
        failed "$algorithm.$(sed -n 's/.*phase \([a-z]*\) failed.*/\1/p' "$log")" \
            "($status) $(grep '^opendnssec.sh: ' "$log" | head -n 1)"
    fi
done
