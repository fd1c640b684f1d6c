#!/bin/sh
# Installs Phoenix, a back end that stores traces by OTLP and answers questions about them, into .servers/phoenix, from hashes
# (113 packages, 552 MB): what its server imports, and nothing else that it depends on. Does nothing when it is there.
# Usage: install_phoenix.sh [PYTHON]   (CPython 3.11)
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
target="$root/.servers/phoenix"
lock="$root/tests/phoenix/phoenix.lock"
python=${1:-python3}
if [ -f "$target/installed.lock" ] && cmp -s "$lock" "$target/installed.lock"; then
    exit 0
fi
echo "installing Phoenix into .servers/phoenix (552 MB) ..."
rm -rf "$target"
mkdir -p "$root/.servers"
"$python" -m venv "$target"
"$target/bin/pip" install --quiet --disable-pip-version-check --no-deps --no-compile --require-hashes -r "$lock"
cp "$lock" "$target/installed.lock"
