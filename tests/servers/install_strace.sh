#!/bin/sh
# Installs strace by apt-get where there is none (as root): the fault tests let each system call of a journal fail.
# A second run changes nothing and needs no network.
set -eu

if ! command -v strace >/dev/null; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends strace
fi
