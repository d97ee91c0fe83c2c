#!/bin/sh
# Makes ./configure from a checkout: needs autoconf, automake, pkg-config.
set -e
cd "$(dirname "$0")"
mkdir -p m4 build-aux
exec autoreconf --install --force
