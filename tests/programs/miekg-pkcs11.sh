#!/usr/bin/env bash
# The tests of Go's miekg/pkcs11, from Debian's package of its source.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
need go pkcs11-tool
source=/usr/share/gocode/src/github.com/miekg/pkcs11
[ -e $source/pkcs11_test.go ] || { skipped all "no golang-github-miekg-pkcs11-dev on this machine"; exit 0; }
client "miekg/pkcs11 $(dpkg-query -W -f '${source:Upstream-Version}' golang-github-miekg-pkcs11-dev 2> /dev/null), its own tests"

export GOPATH=/usr/share/gocode GO111MODULE=off GOFLAGS=-mod= GOCACHE=$cache/go
program=$work/tests
if ! (cd $source && go test -c -o "$program" .) > "$logs/miekg-pkcs11.build.log" 2>&1; then
    failed build "$(tail -n 1 "$logs/miekg-pkcs11.build.log")"
    exit 0
fi

# They sign with a key that is there, one of them with a PIN of its own, and look for SoftHSM's configuration in the working folder.
own_pins "$P11_SO_PIN" 1234
p11 --login --pin 1234 --keypairgen --key-type rsa:2048 --label 'my key' --id 51 > "$logs/miekg-pkcs11.key.log" 2>&1 ||
    failed key "$(tail -n 1 "$logs/miekg-pkcs11.key.log")"
ln -s "$SOFTHSM2_CONF" softhsm2.conf
export SOFTHSM_LIB=$P11_MODULE SOFTHSM_TOKENLABEL=$P11_TOKEN SOFTHSM_PRIVKEYLABEL='my key' SOFTHSM_PIN=1234
# Each in a process of its own: one that hangs or dies is one failed case.
for test in $("$program" -test.list .); do
    log=$logs/miekg-pkcs11.$test.log
    limit "$program" -test.v -test.run "^$test\$" > "$log" 2>&1
    status=$?
    if [ $status != 0 ]; then
        failed "$test" "($status) $(grep -v -e '^ *---' -e '^FAIL' -e '^=== ' "$log" | tail -n 1 | cut -c1-160)"
    elif grep -q "^--- SKIP: $test " "$log"; then
        skipped "$test" "$(grep -A1 "^--- SKIP: $test " "$log" | tail -n 1 | cut -c1-160)"
    else
        passed "$test"
    fi
done
