#!/usr/bin/env bash
# GnuTLS's p11tool: keys, certificates and its test signature.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
need p11tool openssl
client "GnuTLS's $(p11tool --version | head -n 1)"

export GNUTLS_PIN=$P11_PIN GNUTLS_SO_PIN=$P11_SO_PIN
tool() { limit p11tool --provider "$P11_MODULE" --batch "$@"; }

check list-tokens tool --list-tokens
check list-mechanisms tool --list-mechanisms "$token_uri"
check generate-random tool --generate-random 32 "$token_uri"

make() { # NAME OPTIONS...
    local name=$1
    shift
    tool --login "$@" --label "$name" --outfile "$name.pem" "$token_uri"
    openssl pkey -pubin -in "$name.pem" -noout
}
check generate-rsa make rsa --generate-privkey rsa --bits 2048
check generate-ecdsa make ecdsa --generate-privkey ecdsa --curve secp256r1
check generate-ecdsa-384 make ecdsa384 --generate-privkey ecdsa --curve secp384r1
check generate-ed25519 make ed --generate-privkey ed25519

check info tool --info "$token_uri;object=rsa;type=public"
check list-all tool --list-all "$token_uri"
check list-all-login tool --login --list-all "$token_uri"
private_is_listed() {
    tool --login --list-privkeys "$token_uri" > list
    grep -q 'object=rsa' list
    grep -q 'object=ecdsa' list
}
check list-privkeys private_is_listed
check list-keys tool --login --list-keys "$token_uri"

check test-sign-rsa tool --login --test-sign "$token_uri;object=rsa;type=private"
check test-sign-rsa-pss tool --login --test-sign --sign-params rsa-pss --hash sha256 "$token_uri;object=rsa;type=private"
check test-sign-ecdsa tool --login --test-sign "$token_uri;object=ecdsa;type=private"
check test-sign-ecdsa-384 tool --login --test-sign "$token_uri;object=ecdsa384;type=private"

export_pubkey() {
    tool --login --export-pubkey "$token_uri;object=ecdsa;type=private" > exported.pem
    openssl pkey -pubin -in exported.pem -outform DER -out exported.der
    openssl pkey -pubin -in ecdsa.pem -outform DER | cmp - exported.der
}
check export-pubkey export_pubkey

import() {
    openssl req -x509 -newkey rsa:2048 -nodes -keyout own.pem -subj /CN=own -days 30 -out own.crt
    openssl rsa -in own.pem -traditional -out own.key
    tool --login --write --load-privkey own.key --label own --id 5151 "$token_uri"
    tool --login --write --load-certificate own.crt --label own --id 5151 "$token_uri"
    tool --login --test-sign "$token_uri;object=own;type=private"
    tool --export "$token_uri;object=own;type=cert" | openssl x509 -outform DER -out back.der
    openssl x509 -in own.crt -outform DER | cmp - back.der
}
check import-key-and-certificate import
secret() {
    tool --login --write --secret-key 000102030405060708090a0b0c0d0e0f --label secret --id 5252 "$token_uri"
    tool --login --list-all "$token_uri" | grep -q 'object=secret'
}
check import-secret-key secret
set_label() {
    tool --login --set-label renamed "$token_uri;object=own;type=private"
    tool --login --test-sign "$token_uri;object=renamed;type=private"
}
check set-label set_label
delete() {
    tool --login --delete "$token_uri;object=renamed;type=private"
    refuses tool --login --test-sign "$token_uri;object=renamed;type=private"
}
check delete delete
wrong_pin() { GNUTLS_PIN=wrong1 refuses tool --login --test-sign "$token_uri;object=rsa;type=private"; }
check wrong-pin wrong_pin
set_pin() {
    tool --so-login --set-pin 456789 --initialize-pin "$token_uri"
    GNUTLS_PIN=456789 tool --login --test-sign "$token_uri;object=rsa;type=private"
    tool --so-login --set-pin "$P11_PIN" --initialize-pin "$token_uri"
    tool --login --test-sign "$token_uri;object=rsa;type=private"
}
check initialize-pin set_pin
