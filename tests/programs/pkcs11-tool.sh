#!/usr/bin/env bash
# OpenSC's pkcs11-tool: its own tests, and keys, data objects and PINs as people handle them.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
need pkcs11-tool openssl
client "OpenSC's pkcs11-tool $(opensc-tool --info 2> /dev/null | awk "NR == 1 { print \$2 }")"

check list-slots p11 -L
check info p11 -I
check list-interfaces p11 --list-interfaces
check list-mechanisms p11 -M
check list-objects-without-login p11 -O
check random p11 --generate-random 32 --output-file random

# Keys, and what an application does with each kind.
check rsa-2048 p11_user --keypairgen --key-type rsa:2048 --label rsa --id 01
check rsa-3072 p11_user --keypairgen --key-type rsa:3072 --label rsa3 --id 02
check p256 p11_user --keypairgen --key-type EC:prime256v1 --label p256 --id 03
check p384 p11_user --keypairgen --key-type EC:secp384r1 --label p384 --id 04
check p521 p11_user --keypairgen --key-type EC:secp521r1 --label p521 --id 05
check ed25519 p11_user --keypairgen --key-type EC:edwards25519 --label ed --id 06
check p256-derive p11_user --keypairgen --key-type EC:prime256v1 --usage-derive --label ecdh --id 07
check aes-256 p11_user --keygen --key-type AES:32 --label aes --id 11
check aes-128-extractable p11_user --keygen --key-type AES:16 --extractable --label open --id 12
check generic-32 p11_user --keygen --key-type GENERIC:32 --label generic --id 13
check list-objects p11_user -O

printf 'what is signed' > data
openssl dgst -sha256 -binary data > digest

read_public() { # NAME ID: the public key as the token shows it, for OpenSSL
    p11 --read-object --type pubkey --id "$2" --output-file "$1.der"
    openssl pkey -pubin -inform DER -in "$1.der" -out "$1.pem"
}
check read-rsa read_public rsa 01
check read-p256 read_public p256 03
read_p384() { # the tool itself can't write this curve's key as DER, so from what it lists
    point=$(p11 -O --type pubkey --id 04 | sed -n 's/.*EC_POINT: *0461//p')
    printf '3076301006072a8648ce3d020106052b81040022036200%s' "$point" | perl -ne 'print pack "H*", $_' > p384.der
    openssl pkey -pubin -inform DER -in p384.der -out p384.pem
}
check read-p384 read_p384
check read-p521 read_public p521 05

rsa_pkcs() {
    p11_user --sign --id 01 -m SHA256-RSA-PKCS --input-file data --output-file sig
    openssl dgst -sha256 -verify rsa.pem -signature sig data
}
check sign-sha256-rsa-pkcs rsa_pkcs
rsa_pss() {
    p11_user --sign --id 01 -m SHA256-RSA-PKCS-PSS --input-file data --output-file sig
    openssl dgst -sha256 -sigopt rsa_padding_mode:pss -verify rsa.pem -signature sig data
}
check sign-sha256-rsa-pss rsa_pss
ecdsa() { # KEY ID MECHANISM INPUT
    p11_user --sign --id "$2" -m "$3" --signature-format openssl --input-file "$4" --output-file sig
    openssl dgst -sha256 -verify "$1.pem" -signature sig data
}
check sign-ecdsa-p256 ecdsa p256 03 ECDSA digest
check sign-ecdsa-p384 ecdsa p384 04 ECDSA digest
check sign-ecdsa-p521 ecdsa p521 05 ECDSA digest
check sign-ecdsa-sha256 ecdsa p256 03 ECDSA-SHA256 data
sign_twice() { # token's own verification, and a signature over something else
    p11_user --sign --id 01 -m SHA256-RSA-PKCS --input-file data --output-file sig
    p11_user --verify --id 01 -m SHA256-RSA-PKCS --input-file data --signature-file sig
    printf 'something else' > other
    p11_user --verify --id 01 -m SHA256-RSA-PKCS --input-file other --signature-file sig > verdict 2>&1 ||
        true # the tool ends with 0 either way
    grep -q 'Invalid signature' verdict
}
check verify-rsa sign_twice
eddsa() { p11_user --sign --id 06 -m EDDSA --input-file data --output-file sig; [ "$(stat -c %s sig)" = 64 ]; }
check sign-eddsa eddsa

rsa_decrypt() { # PADDING MECHANISM TOOL_OPTIONS...
    openssl pkeyutl -encrypt -pubin -inkey rsa.pem -pkeyopt "rsa_padding_mode:$1" -in data -out sealed
    shift
    p11_user --decrypt --id 01 -m "$@" --input-file sealed --output-file opened
    cmp data opened
}
check decrypt-rsa-pkcs rsa_decrypt pkcs1 RSA-PKCS
check decrypt-rsa-oaep rsa_decrypt oaep RSA-PKCS-OAEP --hash-algorithm SHA-1

aes() { # MECHANISM
    head -c 64 /dev/zero > plain
    p11_user --encrypt --id 11 -m "$1" --iv 000102030405060708090a0b0c0d0e0f --input-file plain --output-file sealed
    refuses cmp -s plain sealed
    p11_user --decrypt --id 11 -m "$1" --iv 000102030405060708090a0b0c0d0e0f --input-file sealed --output-file opened
    cmp plain opened
}
check aes-ecb aes AES-ECB
check aes-cbc aes AES-CBC
check aes-cbc-pad aes AES-CBC-PAD

ecdh() {
    openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out other.pem
    openssl pkey -in other.pem -pubout -outform DER -out other.der
    p11 --read-object --type pubkey --id 07 --output-file ours.der
    openssl pkey -pubin -inform DER -in ours.der -out ours.pem
    openssl pkeyutl -derive -inkey other.pem -peerkey ours.pem -out theirs
    p11_user --derive --id 07 -m ECDH1-DERIVE --input-file other.der --output-file derived
    cmp derived theirs
}
check derive-ecdh ecdh

wrap_unwrap() {
    p11_user --keygen --key-type AES:32 --usage-wrap --label kek --id 14
    p11_user --wrap -m AES-KEY-WRAP --id 14 --application-id 12 --output-file wrapped
    p11_user --unwrap -m AES-KEY-WRAP --id 14 --input-file wrapped --key-type AES: --label again \
        --application-id 15 --extractable
}
check wrap-unwrap-aes wrap_unwrap

digest() { # ALGORITHM
    p11 --hash -m "$1" --input-file data --output-file hash
    openssl dgst "-$(printf %s "$1" | tr '[:upper:]' '[:lower:]')" -binary data | cmp - hash
}
check hash-sha256 digest SHA256
check hash-sha512 digest SHA512

# Keys and certificates made elsewhere.
import_rsa() {
    openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out imported.pem
    openssl pkey -in imported.pem -outform DER -out imported.der
    openssl pkey -in imported.pem -pubout -out imported.pub.pem
    p11_user --write-object imported.der --type privkey --id 21 --label imported --usage-sign
    p11_user --sign --id 21 -m SHA256-RSA-PKCS --input-file data --output-file sig
    openssl dgst -sha256 -verify imported.pub.pem -signature sig data
}
check import-rsa import_rsa
import_ec() {
    openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out importedec.pem
    openssl pkey -in importedec.pem -outform DER -out importedec.der
    openssl pkey -in importedec.pem -pubout -out importedec.pub.pem
    p11_user --write-object importedec.der --type privkey --id 22 --label importedec --usage-sign
    p11_user --sign --id 22 -m ECDSA --signature-format openssl --input-file digest --output-file sig
    openssl dgst -sha256 -verify importedec.pub.pem -signature sig data
}
check import-ec import_ec
import_aes() {
    printf '0123456789abcdef' > aes.raw
    p11_user --write-object aes.raw --type secrkey --key-type AES:16 --id 23 --label importedaes
    head -c 32 /dev/zero > plain
    p11_user --encrypt --id 23 -m AES-ECB --input-file plain --output-file sealed
    openssl enc -aes-128-ecb -K 30313233343536373839616263646566 -nopad -in plain | cmp - sealed
}
check import-aes import_aes
certificate() {
    openssl req -x509 -new -key imported.pem -subj /CN=imported -days 30 -outform DER -out cert.der
    p11_user --write-object cert.der --type cert --id 21 --label imported
    p11 --read-object --type cert --id 21 --output-file cert.back
    cmp cert.der cert.back
}
check certificate certificate
public_key() {
    openssl pkey -in imported.pem -pubout -outform DER -out public.der
    p11_user --write-object public.der --type pubkey --id 24 --label public
    p11 --read-object --type pubkey --id 24 --output-file public.back
    cmp public.der public.back
}
check public-key public_key

# Data objects, public and private.
data_object() {
    printf 'a note' > note
    p11_user --write-object note --type data --label note --application-label app
    p11 --read-object --type data --label note --output-file note.back
    cmp note note.back
    p11_user --delete-object --type data --label note
    refuses p11 --read-object --type data --label note
}
check data-object data_object
private_data_object() {
    printf 'a secret note' > note
    p11_user --write-object note --type data --label secret --private
    refuses p11 --read-object --type data --label secret
    p11_user --read-object --type data --label secret --output-file note.back
    cmp note note.back
}
check private-data-object private_data_object

set_id() {
    p11_user --set-id 0a02 --type privkey --id 02
    p11_user --sign --id 0a02 -m SHA256-RSA-PKCS --input-file data --output-file sig
}
check set-id set_id
delete_key() {
    p11_user --delete-object --type privkey --id 05
    p11_user --delete-object --type pubkey --id 05
    refuses p11_user --sign --id 05 -m ECDSA --input-file digest --output-file sig
}
check delete-key delete_key

# PINs.
check wrong-pin refuses p11 --login --pin wrong1 -O
check right-pin-after-wrong p11_user -O
change_pin() {
    p11 --login --pin "$P11_PIN" --change-pin --new-pin 987654
    refuses p11 --login --pin "$P11_PIN" -O
    p11 --login --pin 987654 --sign --id 01 -m SHA256-RSA-PKCS --input-file data --output-file sig
    openssl dgst -sha256 -verify rsa.pem -signature sig data
    p11 --login --pin 987654 --change-pin --new-pin "$P11_PIN"
}
check change-pin change_pin
change_so_pin() {
    p11 --login --login-type so --so-pin "$P11_SO_PIN" --change-pin --new-pin 87654321
    p11 --login --login-type so --so-pin 87654321 --change-pin --new-pin "$P11_SO_PIN"
}
check change-so-pin change_so_pin
init_pin() {
    p11 --login --login-type so --so-pin "$P11_SO_PIN" --init-pin --new-pin 456789
    p11 --login --pin 456789 --sign --id 01 -m SHA256-RSA-PKCS --input-file data --output-file sig
    openssl dgst -sha256 -verify rsa.pem -signature sig data
    p11 --login --pin 456789 --change-pin --new-pin "$P11_PIN"
}
check init-pin-keeps-keys init_pin

# pkcs11-tool's own tests end with 0 whatever they found, so each line they print is a case.
own_test() { # NAME OPTIONS...: its lines of the form `mechanism: OK`
    local name=$1
    shift
    check "$name" p11_user "$@"
    awk -v suite="$suite.$name" '
        /^[A-Z][A-Za-z]*[a-z()_ ]*(\(.*\))?:? *$/ || /^(Digests|Signatures|Verify|Unwrap|Decryption)/ { section = tolower($1); gsub(/[^a-z]/, "", section) }
        /^  testing key / { key = $3 }
        /: OK$/ { what = $0; sub(/^ */, "", what); sub(/: OK$/, "", what); gsub(/[ ,]+/, "-", what)
                  count[section "." what]++
                  print "case " suite "." section "." what "." count[section "." what] " passed" }
        /^ERR|[Ee]rror|failed|Failed/ && !/No errors/ { errors++ }
        END { print "case " suite ".errors " (errors ? "failed " errors " lines" : "passed") }
    ' "$logs/$suite.$name.log"
}
own_test test --test
own_test test-ec --session-rw --test-ec --key-type EC:prime256v1 --id 31
check test-fork p11 --test-fork -L
check test-threads-null p11 --test-threads IN -L
check test-threads-locking p11 --test-threads ILGISLT0 --test-threads ILGISLT0 --test-threads ILGISLT0 -L

# Last, since it takes everything with it.
init_token() {
    p11 --init-token --label "$P11_TOKEN" --so-pin "$P11_SO_PIN"
    p11 --login --login-type so --so-pin "$P11_SO_PIN" --init-pin --new-pin "$P11_PIN"
    refuses p11_user --sign --id 01 -m SHA256-RSA-PKCS --input-file data --output-file sig
    p11_user --keypairgen --key-type EC:prime256v1 --label anew --id 41
    read_public p256 41
    ecdsa p256 41 ECDSA digest
}
check init-token init_token
