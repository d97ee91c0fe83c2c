#!/bin/sh
# Golden reports: every .pol beside an .err must give exactly that on stderr, carets and all.
#   parse/   what the parser says       check/   what `sbx check` says
# UPDATE_GOLDEN=1 (make update-golden) writes the .err files instead; review the difference.
: "${srcdir:=.}"
here=$(cd "$srcdir/tests/diag" && pwd) || exit 1
: "${polparse:=tests/diag/polparse}" "${SBX:=./sbx}"
case $polparse in /*) ;; *) polparse=$PWD/$polparse ;; esac
case $SBX in /*) ;; *) SBX=$PWD/$SBX ;; esac
n=0 bad=0
out=$(mktemp) || exit 1
trap 'rm -f "$out"' EXIT

report() { # folder file
	case $1 in
	parse) "$polparse" "$2" 2>"$out" >/dev/null ;;
	check) "$SBX" check "$2" 2>"$out" >/dev/null ;;
	esac
}

for folder in parse check; do
	cd "$here/$folder" 2>/dev/null || continue
	for f in *.pol; do
		[ -e "$f" ] || continue
		case $f in part-*) continue ;; esac # used by another file
		report "$folder" "$f"
		status=$?
		n=$((n + 1))
		want=1
		grep -q ': error\[\|test failed' "$out" || want=0
		if [ -n "${UPDATE_GOLDEN:-}" ]; then
			cp "$out" "${f%.pol}.err"
		fi
		if cmp -s "$out" "${f%.pol}.err" && [ "$status" = "$want" ]; then
			echo "ok $n - $folder/$f"
		else
			bad=$((bad + 1))
			echo "not ok $n - $folder/$f (status $status)"
			diff -u "${f%.pol}.err" "$out" | sed 's/^/# /'
		fi
		# the same as JSON lines, where it is kept
		[ -e "${f%.pol}.json" ] || continue
		n=$((n + 1))
		"$SBX" check --json "$f" >"$out" 2>&1
		[ -z "${UPDATE_GOLDEN:-}" ] || cp "$out" "${f%.pol}.json"
		if cmp -s "$out" "${f%.pol}.json"; then
			echo "ok $n - $folder/$f as JSON"
		else
			bad=$((bad + 1))
			echo "not ok $n - $folder/$f as JSON"
			diff -u "${f%.pol}.json" "$out" | sed 's/^/# /'
		fi
	done
done
echo "1..$n"
[ "$bad" = 0 ] && [ "$n" -gt 0 ]
