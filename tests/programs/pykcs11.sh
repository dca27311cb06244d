#!/usr/bin/env bash
# PyKCS11's own tests, from its source package, with its binary package.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
need python3 pkcs11-tool
python_home pykcs11 source
client "$(sed -n 's/^pykcs11==/PyKCS11 /p' "$programs/pykcs11.txt"), its own tests"

# Its tests have PINs of their own, and take the first token.
own_pins 123456 1234
cp -r "$home/source/test" .
# They ask less of a SoftHSM before its second version, by which they take every module's version. The same is asked of both sides.
sed -i 's/= .*libraryVersion\[0\]$/= 2/; s/= .*libraryVersion$/= (2, 6)/' test/*.py
export PYKCS11LIB=$P11_MODULE
# Each file in a process of its own: one that dies takes no other with it. Most initialise the token anew.
for file in test/test_*.py; do
    name=$(basename "$file" .py) folder=$work/$(basename "$file" .py)
    mkdir "$folder"
    cp "$file" "$folder"
    log=$logs/pykcs11.$name.log
    P11_PATIENCE=300 limit "$home/bin/python" "$programs/unittests.py" pykcs11 "$folder" 2> "$log"
    status=$?
    [ $status = 0 ] || failed "$name.ends" "($status) $(tail -n 1 "$log" | cut -c1-160)"
done
