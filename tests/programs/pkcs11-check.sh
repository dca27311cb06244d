#!/usr/bin/env bash
# pkcs11-check: what a module does with calls of every kind, right and wrong. Without its slow tests, and without the
# vectors that it would fetch.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
need python3 pkcs11-tool

# It wants Python 3.12. Where none is installed, uv fetches one into a folder of its own.
is_new() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 12))' 2> /dev/null; }
fetch_python() {
    rm -rf "$cache/uv.new"
    python3 -m venv "$cache/uv.new"
    "$cache/uv.new/bin/python" -m pip --quiet --disable-pip-version-check install uv
    UV_PYTHON_INSTALL_DIR=$cache/uv.new/pythons "$cache/uv.new/bin/uv" python install 3.12
    mv "$cache/uv.new" "$cache/uv"
}
python=
for candidate in python3 python3.14 python3.13 python3.12; do
    if is_new "$candidate"; then python=$candidate; break; fi
done
if [ -z "$python" ]; then
    once "$cache/uv" fetch_python
    python=$(find "$cache/uv" -path '*/bin/python3.12' -print -quit 2> /dev/null)
    is_new "${python:-false}" || { skipped all "no Python 3.12 on this machine, and none could be fetched"; exit 0; }
fi
python_home pkcs11-check
client "$(grep '^pkcs11-check==' "$programs/pkcs11-check.txt" | sed 's/==/ /'), without slow tests and vectors"

export P11TEST_PIN=$P11_PIN P11TEST_SO_PIN=$P11_SO_PIN
log=$logs/pkcs11-check.log
P11_PATIENCE=7200 limit "$home/bin/python" -m pkcs11_check test --module "$P11_MODULE" --skip-slow --timeout 60 --no-collection-cache \
    --output json --output-file "$logs/report/results.json" > "$log" 2>&1
[ -e "$logs/report/report.jsonl" ] || { failed all "$(tail -n 1 "$log")"; exit 0; }
"$home/bin/python" "$programs/pkcs11-check.py" "$logs/report/report.jsonl"
