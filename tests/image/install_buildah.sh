#!/bin/sh
# Installs buildah and mmdebstrap by apt-get where there are none (as root), and makes .servers/image: two roots of Debian
# 12 that stand in for the Dockerfile's base images where no registry can be reached, and docker-compose, which judges the
# Compose file. About 80 s and 400 MB the first time; a second run changes nothing and needs no network.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
target="$root/.servers/image"

if ! command -v buildah >/dev/null || ! command -v mmdebstrap >/dev/null; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends buildah mmdebstrap >/dev/null
fi

if [ -f "$target/installed" ] && cmp -s "$0" "$target/installed"; then
    exit 0
fi
mkdir -p "$target"
rm -f "$target/installed"

# The sources of this machine, so that the build's own apt-get finds what this one found.
set -- bookworm
for sources in /etc/apt/sources.list /etc/apt/sources.list.d/*.sources /etc/apt/sources.list.d/*.list; do
    if [ -s "$sources" ]; then set -- "$@" "$sources"; fi
done
suite=$1
shift

# debian:bookworm-slim
mmdebstrap --quiet --variant=minbase --include=ca-certificates "$suite" "$target/build.tar" "$@"

# gcr.io/distroless/python3-debian12: what Python needs, unpacked, and no program besides Python.
mmdebstrap --quiet --variant=extract \
    --include=python3.11-minimal,libpython3.11-stdlib,libstdc++6,libgcc-s1,libssl3,tzdata,netbase,base-files \
    --extract-hook='find "$1/bin" "$1/sbin" "$1/usr/bin" "$1/usr/sbin" ! -type d ! -name python3.11 -delete' \
    --extract-hook='rm -rf "$1/usr/share/doc" "$1/usr/share/locale" "$1/var/lib/dpkg" "$1/var/cache/apt" "$1/var/lib/apt"' \
    --extract-hook='ln -s python3.11 "$1/usr/bin/python3"' \
    --extract-hook='printf "root:x:0:0::/root:/sbin/nologin\nnonroot:x:65532:65532::/home/nonroot:/sbin/nologin\n" >"$1/etc/passwd"' \
    --extract-hook='printf "root:x:0:\nnonroot:x:65532:\n" >"$1/etc/group"' \
    "$suite" "$target/python.tar" "$@"

"${PYTHON:-$root/.venv/bin/python}" -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps \
    --upgrade --target "$target" -r "$here/compose.lock"
cp "$0" "$target/installed"
