#!/bin/sh
# Every whole policy in sbx-policy(5) must compile and pass its own tests; so must every shipped one.
: "${srcdir:=.}" "${SBX:=./sbx}"
n=0 bad=0
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT

# The displays of the page that start with "sbx: 1", one file each, without mdoc's escapes.
awk -v dir="$dir" '
	/^\.Bd -literal/ { text = ""; on = 1; next }
	/^\.Ed/ {
		if (on && text ~ /^sbx: 1\n/)
			printf "%s", text > (dir "/example-" ++n ".pol")
		on = 0
	}
	on { text = text $0 "\n" }
' "$srcdir/docs/sbx-policy.5"
sed -i 's/\\&//g; s/\\(dq/"/g; s/\\e/\\/g; s/\\-/-/g' "$dir"/*.pol

for f in "$dir"/*.pol "$srcdir"/examples/policies/*.pol "$srcdir"/examples/policies/sbx/*.pol; do
	n=$((n + 1))
	if SBX_POLICY_PATH="$srcdir/examples/policies" "$SBX" check "$f" >"$dir/out" 2>&1; then
		echo "ok $n - $(basename "$f")"
	else
		bad=$((bad + 1))
		echo "not ok $n - $(basename "$f")"
		sed 's/^/# /' "$dir/out"
	fi
done
echo "1..$n"
[ "$bad" = 0 ] && [ "$n" -ge 9 ]
