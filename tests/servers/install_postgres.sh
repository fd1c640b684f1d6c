#!/bin/sh
# Installs what the PostgreSQL tests need: the server's binaries by apt-get where there are none (as root), and the driver
# into .servers/postgres, from the hashes beside this script. A second run changes nothing and needs no network.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
target="$root/.servers/postgres"
python="${PYTHON:-$root/.venv/bin/python}"

if ! command -v initdb >/dev/null && ! ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends postgresql
fi

if [ -f "$target/installed" ] && cmp -s "$here/postgres/requirements.txt" "$target/installed"; then
    exit 0
fi
rm -rf "$target"
mkdir -p "$target"
"$python" -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps \
    --target "$target/driver" -r "$here/postgres/requirements.txt"
cp "$here/postgres/requirements.txt" "$target/installed"
