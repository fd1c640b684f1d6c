#!/bin/sh
# Installs an S3 server that enforces Object Lock into .servers/localstack, from hashes. Does nothing when it is there.
# Usage: install_localstack.sh [PYTHON]   (CPython 3.11)
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
target="$root/.servers/localstack"
lock="$root/tests/servers/localstack.lock"
python=${1:-python3}
if [ -f "$target/installed.lock" ] && cmp -s "$lock" "$target/installed.lock"; then
    exit 0
fi
rm -rf "$target"
mkdir -p "$root/.servers"
"$python" -m venv "$target"
"$target/bin/pip" install --quiet --disable-pip-version-check --no-deps --require-hashes -r "$lock"
cp "$lock" "$target/installed.lock"
