#!/usr/bin/env bash
# The cryptoki crate's own tests, from its package. Most of them initialise the token anew.
. "$(dirname "$0")/lib.sh"
need cargo pkcs11-tool

version=0.12.1
home=$cache/cryptoki-$version
prepare() {
    cd "$programs/cryptoki"
    cargo fetch --locked
    local package
    package=$(cargo metadata --locked --offline --format-version 1 |
        grep -o '"manifest_path":"[^"]*/cryptoki-[^"]*/Cargo.toml"' | grep "/cryptoki-$version/" | cut -d'"' -f4)
    rm -rf "$home.new"
    cp -r "$(dirname "$package")" "$home.new"
    chmod -R u+w "$home.new"
    printf '\n[workspace]\n' >> "$home.new/Cargo.toml"
    mv "$home.new" "$home"
}
once "$home" prepare
if [ ! -d "$home" ]; then
    skipped all "the cryptoki crate could not be fetched: $(tail -n 1 "$logs/cryptoki.prepare.log")"
    exit 0
fi
# Its package carries the lock file that its authors test with.
export CARGO_TARGET_DIR=$cache/cryptoki-target CARGO_PROFILE_TEST_DEBUG=0 CARGO_PROFILE_DEV_DEBUG=0
if ! (cd "$home" && cargo test --locked --no-run --tests \
    --message-format json) > build.json 2> "$logs/cryptoki.build.log"; then
    failed build "$(tail -n 1 "$logs/cryptoki.build.log")"
    exit 0
fi

# Its tests have PINs of their own and expect them.
so_pin=abcdef654321 pin=fedcba123456
(
    set -e
    p11 --login --login-type so --so-pin "$P11_SO_PIN" --change-pin --new-pin $so_pin
    p11 --login --login-type so --so-pin $so_pin --init-pin --new-pin $pin
) > "$logs/cryptoki.pins.log" 2>&1 || failed pins "$(tail -n 1 "$logs/cryptoki.pins.log")"

# The same special cases on both sides: those that it has for SoftHSM.
export TEST_PKCS11_MODULE=$P11_MODULE TEST_PRETEND_LIBRARY=softhsm
export TEST_PKCS11_PIN=$pin TEST_PKCS11_SO_PIN=$so_pin
for test in allowed_mechanisms basic ml_dsa ml_kem slh_dsa wycheproof; do
    program=$(grep '"kind":\["test"\]' build.json | grep "\"name\":\"$test\"" | grep -o '"executable":"[^"]*"' | cut -d'"' -f4)
    P11_PATIENCE=900 limit "$program" --test-threads 1 > "$logs/cryptoki.$test.log" 2>&1
    status=$?
    # A test that kills the process is the one that was begun last.
    awk -v test="$test" -v status="$status" '
        /^test .* \.\.\. ignored/ { print "case cryptoki." test "." $2 " skipped ignored"; next }
        /^test .* \.\.\. / { name = $2 }
        /(^| )ok$/ && name { print "case cryptoki." test "." name " passed"; name = "" }
        /(^| )FAILED$/ && name { print "case cryptoki." test "." name " failed"; name = "" }
        END { if (name) print "case cryptoki." test "." name " failed (" status ") ended the process" }
    ' "$logs/cryptoki.$test.log"
done
