#!/bin/sh
# Runs every fuzz target over its kept inputs: corpus/NAME goes to replay_NAME.
: "${srcdir:=.}" "${fuzzdir:=tests/fuzz}"
n=0 bad=0
out=$(mktemp) || exit 1
trap 'rm -f "$out"' EXIT
for corpus in "$srcdir"/tests/fuzz/corpus/*/; do
	name=$(basename "$corpus")
	n=$((n + 1))
	if [ ! -x "$fuzzdir/replay_$name" ]; then
		bad=$((bad + 1))
		echo "not ok $n - $name: no replay_$name"
	elif "$fuzzdir/replay_$name" "$corpus" >"$out" 2>&1; then
		echo "ok $n - $name: $(grep -c ^ok "$out") inputs"
	else
		bad=$((bad + 1))
		echo "not ok $n - $name, at the input after the last 'ok'"
		tail -30 "$out" | sed 's/^/# /'
	fi
done
echo "1..$n"
[ "$bad" = 0 ] && [ "$n" -gt 0 ]
