#!/usr/bin/env bash
# Two real tokens of two vendors become one: keys made through Tandem, the same key read from each
# member with its own module, signatures with both members and with either away, checked by OpenSSL.
# `make demo` runs it. demo.sh [DIR] keeps what it makes in DIR; otherwise it is removed.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
tandem=$root/target/release/tandem
module=$root/target/release/libtandem.so
if [ $# -gt 0 ]; then
    dir=$(mkdir -p "$1" && cd "$1" && pwd)
    tidy() { :; }
else
    dir=$(mktemp -d)
    tidy() { rm -rf "$dir"; }
fi
trap tidy EXIT
work=$dir/work
mkdir -p "$work"
pin=123456

step() { printf '\n\033[1m%s\033[0m\n' "$*"; }
[ -t 1 ] || step() { printf '\n%s\n' "$*"; }
fail() { echo "demo: $*" >&2; exit 1; }
# The tool's chatter about slots helps nobody here; its errors do.
quietly() { "$@" > "$work/said" 2>&1 || { cat "$work/said" >&2; fail "this failed: $*"; }; }

step "1. Two tokens, one of SoftHSM and one of Kryoptic, made one (their files are in $dir)"
"$tandem" demo --dir "$dir"
export TANDEM_CONFIG=$dir/tandem.toml TANDEM_PIN=$pin
token() { pkcs11-tool --module "$module" --token-label demo --login --pin $pin "$@"; }

step "2. A P-256 and an RSA-2048 key, made once each by pkcs11-tool through libtandem.so"
quietly token --keypairgen --key-type EC:prime256v1 --id 01 --label signer-ec
quietly token --keypairgen --key-type rsa:2048 --id 02 --label signer-rsa
"$tandem" keys

step "3. The same public keys, read from each member with its own module"
public() { # FILE MODULE TOKEN ID
    quietly pkcs11-tool --module "$2" --token-label "$3" --login --pin $pin \
        --read-object --type pubkey --id "$4" --output-file "$1"
}
for id in 01 02; do
    public "$work/$id.der" "$module" demo $id
    printf '  key %s  %-10s %s\n' $id tandem "$(sha256sum < "$work/$id.der" | cut -c1-32)"
    for folder in "$dir"/members/*/; do
        member=$(basename "$folder")
        (
            # shellcheck disable=SC1091 # written by the demo: the member's own module and its settings
            . "$folder/env"
            public "$work/$id.$member.der" "$P11_MODULE" "$member" $id
        )
        printf '  key %s  %-10s %s\n' $id "member $member" "$(sha256sum < "$work/$id.$member.der" | cut -c1-32)"
        cmp "$work/$id.der" "$work/$id.$member.der" || fail "member $member has another key $id"
    done
    openssl pkey -pubin -inform DER -in "$work/$id.der" -out "$work/$id.pem"
done

sign() { # WHAT: signs it with both keys and lets OpenSSL judge
    printf '%s' "$1" > "$work/data"
    openssl dgst -sha256 -binary -out "$work/digest" "$work/data"
    quietly token --sign --id 01 -m ECDSA --signature-format openssl --input-file "$work/digest" --output-file "$work/ec.sig"
    quietly token --sign --id 02 -m SHA256-RSA-PKCS --input-file "$work/data" --output-file "$work/rsa.sig"
    printf '  P-256    '
    openssl dgst -sha256 -verify "$work/01.pem" -signature "$work/ec.sig" "$work/data"
    printf '  RSA-2048 '
    openssl dgst -sha256 -verify "$work/02.pem" -signature "$work/rsa.sig" "$work/data"
}

step "4. Signatures with both members there, verified by OpenSSL"
sign 'with both members'
"$tandem" status

number=5
for folder in "$dir"/members/*/; do
    member=$(basename "$folder")
    step "$number. Member $member is taken away (its folder is moved), and the keys go on signing"
    mv "$dir/members/$member" "$dir/away"
    sign "without member $member"
    "$tandem" status
    mv "$dir/away" "$dir/members/$member"
    number=$((number + 1))
done

step "$number. Both are back"
sign 'with both members again'
"$tandem" status
