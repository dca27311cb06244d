#!/usr/bin/env bash
# OpenSSL through the pkcs11 engine: a request, signatures, and a TLS server with the token's key.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
need openssl pkcs11-tool
client "$(openssl version | cut -d" " -f1,2), by libp11's engine"
engine=$(find /usr/lib/*/engines-3 -name 'pkcs11.so' 2> /dev/null | head -n 1)
[ -n "$engine" ] || { skipped all "no pkcs11 engine for OpenSSL on this machine"; exit 0; }

cat > openssl.cnf << CNF
openssl_conf = main
[main]
engines = engines
[engines]
pkcs11 = pkcs11
[pkcs11]
engine_id = pkcs11
dynamic_path = $engine
MODULE_PATH = $P11_MODULE
PIN = $P11_PIN
init = 0
[req]
distinguished_name = name
[name]
CNF
export OPENSSL_CONF=$work/openssl.cnf
ssl() { limit openssl "$@"; }
key() { printf '%s;object=%s;type=private' "$token_uri" "$1"; }

p11_user --keypairgen --key-type rsa:2048 --label rsa --id 61 > "$logs/openssl.keys.log" 2>&1
p11_user --keypairgen --key-type EC:prime256v1 --label ec --id 62 >> "$logs/openssl.keys.log" 2>&1
printf 'what is signed' > data

check engine ssl engine -t pkcs11
request() { # KEY: a request whose signature OpenSSL accepts
    ssl req -new -engine pkcs11 -keyform engine -key "$(key "$1")" -subj "/CN=$1" -out "$1.csr"
    env -u OPENSSL_CONF openssl req -in "$1.csr" -verify -noout
}
check request-rsa request rsa
check request-ec request ec
certificate() {
    ssl req -x509 -new -engine pkcs11 -keyform engine -key "$(key "$1")" -subj /CN=localhost \
        -addext subjectAltName=DNS:localhost -days 30 -out "$1.crt"
    env -u OPENSSL_CONF openssl verify -CAfile "$1.crt" "$1.crt"
    openssl x509 -in "$1.crt" -pubkey -noout -out "$1.pub"
}
check certificate-rsa certificate rsa
check certificate-ec certificate ec
sign() { # KEY HASH
    ssl dgst -engine pkcs11 -keyform engine -sign "$(key "$1")" "-$2" -out sig data
    env -u OPENSSL_CONF openssl dgst "-$2" -verify "$1.pub" -signature sig data
}
check sign-rsa-sha256 sign rsa sha256
check sign-rsa-sha512 sign rsa sha512
check sign-ec-sha256 sign ec sha256
sign_pss() {
    ssl dgst -engine pkcs11 -keyform engine -sign "$(key rsa)" -sha256 -sigopt rsa_padding_mode:pss -out sig data
    env -u OPENSSL_CONF openssl dgst -sha256 -sigopt rsa_padding_mode:pss -verify rsa.pub -signature sig data
}
check sign-rsa-pss sign_pss
decrypt() {
    env -u OPENSSL_CONF openssl pkeyutl -encrypt -pubin -inkey rsa.pub -in data -out sealed
    ssl pkeyutl -decrypt -engine pkcs11 -keyform engine -inkey "$(key rsa)" -in sealed -out opened
    cmp data opened
}
check decrypt-rsa decrypt

port=$((20000 + $$ % 20000))
tls() { # KEY CLIENT_OPTIONS...: three connections to a server whose key never leaves the token
    local name=$1
    shift
    rm -f server.log
    limit openssl s_server -engine pkcs11 -keyform engine -key "$(key "$name")" -cert "$name.crt" \
        -accept "127.0.0.1:$port" -naccept 3 -www > server.log 2>&1 &
    local server=$! try
    for try in 1 2 3; do
        until grep -qs ACCEPT server.log; do kill -0 $server; sleep 0.1; done
        printf 'GET / HTTP/1.0\r\n\r\n' | env -u OPENSSL_CONF timeout 20 openssl s_client "$@" \
            -connect "127.0.0.1:$port" -CAfile "$name.crt" -verify_return_error -quiet \
            > "client.$try" 2>&1 || true
        grep -q 'HTTP/1.0 200' "client.$try" || { cat "client.$try" server.log; kill $server; return 1; }
    done
    kill $server 2> /dev/null || true
    wait $server || true
}
check tls13-rsa tls rsa -tls1_3
check tls13-ec tls ec -tls1_3
check tls12-rsa tls rsa -tls1_2
