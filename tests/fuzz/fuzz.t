#!/bin/sh
# TAP: every libFuzzer target for FUZZ_SECONDS, starting from its kept inputs. New inputs are not kept;
# one that fails stays in the build folder.
: "${srcdir:=.}" "${fuzzdir:=tests/fuzz}"
n=0 bad=0
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
for corpus in "$srcdir"/tests/fuzz/corpus/*/; do
	name=$(basename "$corpus")
	n=$((n + 1))
	mkdir "$work/$name"
	if "$fuzzdir/fuzz_$name" -max_total_time="${FUZZ_SECONDS:-15}" -timeout=20 -rss_limit_mb=2048 \
		-artifact_prefix="$fuzzdir/$name-" "$work/$name" "$corpus" >"$work/log" 2>&1; then
		echo "ok $n - fuzzed $name: $(grep -o 'Done.*' "$work/log")"
	else
		bad=$((bad + 1))
		echo "not ok $n - fuzzed $name"
		tail -40 "$work/log" | sed 's/^/# /'
	fi
done
echo "1..$n"
[ "$bad" = 0 ] && [ "$n" -gt 0 ]
