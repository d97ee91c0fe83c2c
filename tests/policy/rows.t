#!/bin/sh
# Judges every row of every *.rows file by the policy beside it.
: "${srcdir:=.}" "${rowsdir:=tests/policy}"
: "${SBX_POLICY_PATH:=$srcdir/examples/policies}"
export SBX_POLICY_PATH
exec "$rowsdir/run_rows" "$srcdir"/tests/policy/*.pol
