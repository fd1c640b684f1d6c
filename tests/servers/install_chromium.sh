#!/bin/sh
# Installs Debian's Chromium by apt-get where there is none (as root), and a font where there is none: the console's pages
# are walked through in it. A second run changes nothing and needs no network.
set -eu

missing=
command -v chromium >/dev/null || missing="chromium"
[ -e /usr/share/fonts/truetype/dejavu/DejaVuSans.ttf ] || missing="$missing fonts-dejavu-core"
if [ -n "$missing" ]; then
    apt-get update -qq
    # shellcheck disable=SC2086 - a list of names
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
fi
