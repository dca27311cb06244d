#!/usr/bin/env bash
# python-pkcs11's own tests, from its source package, with its binary package.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
need python3

# Both sides and later runs share one environment; its name changes with what is in it.
home=$cache/python-$(sha256sum < "$programs/python-pkcs11.txt" | cut -c1-12)
prepare() {
    rm -rf "$home" "$home.new"
    python3 -m venv "$home.new"
    "$home.new/bin/python" -m pip --quiet --disable-pip-version-check install -r "$programs/python-pkcs11.txt"
    "$home.new/bin/python" -m pip --quiet --disable-pip-version-check download --no-deps \
        --no-binary python-pkcs11 --dest "$home.new/source" "$(grep python-pkcs11 "$programs/python-pkcs11.txt")"
    tar -xzf "$home.new"/source/*.tar.gz -C "$home.new/source" --strip-components 1 --wildcards '*/tests'
    mv "$home.new" "$home"
}
once "$home" prepare
if [ ! -d "$home" ]; then
    skipped all "python-pkcs11 could not be fetched: $(tail -n 1 "$logs/python-pkcs11.prepare.log")"
    exit 0
fi

# The tests know SoftHSM by its file's name and then hand EC points over in its form. The same name
# on both sides asks the same of both.
ln -s "$(realpath "$P11_MODULE")" libsofthsm2.so
cp -r "$home/source/tests" .
# A second module in the same process, as one of the tests wants it.
if [ -n "${P11_SECOND:-}" ]; then
    cp "$P11_SECOND" second.so
    export PKCS11_MODULE2=$work/second.so
fi
PKCS11_MODULE=$work/libsofthsm2.so PKCS11_TOKEN_LABEL=$P11_TOKEN PKCS11_TOKEN_PIN=$P11_PIN \
    PKCS11_TOKEN_SO_PIN=$P11_SO_PIN P11_PATIENCE=600 \
    limit "$home/bin/python" "$programs/python-pkcs11.py" 2> "$logs/python-pkcs11.log"
