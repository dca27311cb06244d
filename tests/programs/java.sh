#!/usr/bin/env bash
# Java's SunPKCS11: keytool's key store on the token, and jarsigner with its key.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
need keytool jarsigner jar openssl pkcs11-tool
client "Java $(keytool -J-version 2>&1 | sed -n 's/.*version "\([^"]*\)".*/\1/p'), SunPKCS11"

# Java finds a token by slot only, so the one that carries the label is looked up first.
slot=$(limit pkcs11-tool --module "$P11_MODULE" -L 2> /dev/null | awk -v label="$P11_TOKEN" '
    /^Slot [0-9]+ / { slot = $2 }
    /token label *:/ { sub(/.*token label *: */, ""); if ($0 == label) { print slot; exit } }')
cat > java.cfg << CFG
name = Test
library = $(realpath "$P11_MODULE")
slotListIndex = ${slot:-0}
CFG
provider=(-providerClass sun.security.pkcs11.SunPKCS11 -providerArg java.cfg)
store=(-keystore NONE -storetype PKCS11 -storepass "$P11_PIN" "${provider[@]}")
java() { # PROGRAM OPTIONS...: a store made so that one process start takes about a second
    limit "$1" -J-XX:TieredStopAtLevel=1 -J-XX:+UseSerialGC "${@:2}"
}

check list-empty java keytool -list "${store[@]}"
make() { # ALIAS OPTIONS...
    java keytool -genkeypair -alias "$1" -dname "CN=$1" -validity 30 "${@:2}" "${store[@]}"
}
check genkeypair-rsa make jrsa -keyalg RSA -keysize 2048
check genkeypair-ec make jec -keyalg EC -groupname secp256r1
check genseckey-aes java keytool -genseckey -alias jaes -keyalg AES -keysize 256 "${store[@]}"
listed() {
    java keytool -list "${store[@]}" > list
    cat list
    grep -q 'jrsa, PrivateKeyEntry' list
    grep -q 'jec, PrivateKeyEntry' list
}
check list listed
exported() { # ALIAS
    java keytool -exportcert -rfc -alias "$1" -file "$1.crt" "${store[@]}"
    openssl verify -CAfile "$1.crt" "$1.crt"
}
check exportcert-rsa exported jrsa
check exportcert-ec exported jec
request() { # ALIAS
    java keytool -certreq -alias "$1" -file "$1.csr" "${store[@]}"
    openssl req -in "$1.csr" -verify -noout
}
check certreq-rsa request jrsa
check certreq-ec request jec
issued() { # a certificate for the token's key by someone else, put beside it
    openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.pem -subj /CN=ca -days 30 -out ca.crt
    openssl x509 -req -in jrsa.csr -CA ca.crt -CAkey ca.pem -days 30 -out issued.crt
    cat issued.crt ca.crt > chain.crt
    java keytool -importcert -noprompt -trustcacerts -alias jrsa -file chain.crt "${store[@]}"
    java keytool -list -v -alias jrsa "${store[@]}" > list
    grep -q 'Issuer: CN=ca' list
}
check importcert issued
jar_sign() { # ALIAS
    mkdir -p content
    echo 'a class' > content/a.txt
    jar cf plain.jar -C content a.txt
    java jarsigner "${store[@]}" -signedjar "$1.jar" plain.jar "$1"
    java jarsigner -verify "$1.jar" > verdict
    cat verdict
    grep -q 'jar verified' verdict
}
check jarsigner-rsa jar_sign jrsa
check jarsigner-ec jar_sign jec
changed_alias() {
    java keytool -changealias -alias jec -destalias jec2 "${store[@]}"
    java keytool -list -alias jec2 "${store[@]}"
    java keytool -certreq -alias jec2 -file jec2.csr "${store[@]}"
    openssl req -in jec2.csr -verify -noout
}
check changealias changed_alias
deleted() {
    java keytool -delete -alias jrsa "${store[@]}"
    refuses java keytool -certreq -alias jrsa -file none.csr "${store[@]}"
}
check delete deleted
check wrong-pin refuses java keytool -list -keystore NONE -storetype PKCS11 -storepass wrong1 "${provider[@]}"
