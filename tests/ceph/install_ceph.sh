#!/bin/sh
# Installs the parts of Ceph that speak S3, from Debian's packages. Does nothing when they are there.
set -eu
for program in ceph-mon ceph-osd radosgw radosgw-admin ceph monmaptool ceph-authtool; do
    command -v "$program" >/dev/null && continue
    if ! command -v apt-get >/dev/null || [ "$(id -u)" != 0 ]; then
        echo "test-ceph needs \`$program\`: as root, apt-get install --no-install-recommends ceph-mon ceph-osd radosgw" >&2
        exit 1
    fi
    echo "installing ceph-mon, ceph-osd and radosgw (about 290 MB) ..."
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends ceph-mon ceph-osd radosgw >/dev/null
    break
done
