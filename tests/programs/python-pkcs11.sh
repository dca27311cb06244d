#!/usr/bin/env bash
# python-pkcs11's own tests, from its source package, with its binary package.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
need python3

python_home python-pkcs11 source
client "$(grep '^python-pkcs11==' "$programs/python-pkcs11.txt" | sed 's/==/ /'), its own tests"

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
    limit "$home/bin/python" "$programs/unittests.py" python-pkcs11 tests . 2> "$logs/python-pkcs11.log"
