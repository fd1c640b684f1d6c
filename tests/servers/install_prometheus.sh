#!/bin/sh
# Puts Debian's prometheus and promtool into .servers/prometheus: rules are checked and evaluated by them. The two binaries
# need no other package, so nothing is installed. A second run changes nothing and needs no network.
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
target="$root/.servers/prometheus"
if [ -x "$target/promtool" ] && [ -x "$target/prometheus" ]; then
    exit 0
fi
fresh=$(mktemp -d)
trap 'rm -rf "$fresh"' EXIT
chmod 755 "$fresh"
apt-get update -qq
(cd "$fresh" && apt-get download -qq -o APT::Sandbox::User=root prometheus)
dpkg-deb --fsys-tarfile "$fresh"/prometheus_*.deb | tar -x -C "$fresh" ./usr/bin/prometheus ./usr/bin/promtool
mkdir -p "$target"
mv "$fresh/usr/bin/prometheus" "$fresh/usr/bin/promtool" "$target/"
