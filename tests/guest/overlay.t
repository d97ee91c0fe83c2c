#!/bin/sh
# TAP: the guest tests about files once more, in a copy-on-write view of their folder.
: "${srcdir:=.}"
GUEST_POLICY=overlay.pol exec "$srcdir/tests/guest/run-guest" exec file_attr file_fd file_io file_locks \
	file_name file_open file_random file_splice file_xattr mmfiles
