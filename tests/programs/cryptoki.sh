#!/usr/bin/env bash
# The cryptoki crate's own tests, from its package. Most of them initialise the token anew.
# shellcheck source=lib.sh
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
client "the cryptoki crate $version, its own tests"
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
own_pins abcdef654321 fedcba123456

# The tests ask SoftHSM, which they know by its file's name, less than others. The same is asked of both sides.
export TEST_PKCS11_MODULE=$P11_MODULE TEST_PRETEND_LIBRARY=softhsm
# Each test in a process of its own: one that hangs or dies is one failed case.
for group in allowed_mechanisms basic ml_dsa ml_kem slh_dsa wycheproof; do
    program=$(grep '"kind":\["test"\]' build.json | grep "\"name\":\"$group\"" | grep -o '"executable":"[^"]*"' | cut -d'"' -f4)
    for test in $("$program" --list --format terse 2> /dev/null | sed -n 's/: test$//p'); do
        log=$logs/cryptoki.$group.$test.log
        # Each pairs the members anew, which looks for five RSA keys' primes: seconds, but many of them on a busy machine.
        patience=180
        # It ends at once, or waits for ever where the function is served.
        [ "$test" != wait_for_slot_event ] || patience=10
        P11_PATIENCE=$patience limit "$program" --exact "$test" > "$log" 2>&1
        status=$?
        case $status:$(grep '^test result: ' "$log") in
        0:*" 1 passed;"*) passed "$group.$test" ;;
        0:*" 1 ignored;"*) skipped "$group.$test" ignored ;;
        124:* | 137:*) failed "$group.$test" "($status) hangs" ;;
        *) failed "$group.$test" "($status) $(grep -A1 "^thread '.* panicked" "$log" | tail -n 1 | cut -c1-160)" ;;
        esac
    done
done
