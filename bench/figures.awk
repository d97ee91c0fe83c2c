# Prints the tables of run-bench-svm from its data lines.
$1 == "hlt" { if (!hlt || $3 + 0 < hlt) hlt = $3 + 0 }
# The better of two turns.
function better(old, new) { return old == "" || new + 0 < old + 0 ? new : old }

$1 == "native" { native[$2] = better(native[$2], $3) }
$1 == "runsc" { runsc[$2] = better(runsc[$2], $3); has_runsc = 1 }
$1 == "why" { why = $2 }
$1 == "class" { order[++ops] = $2; class[$2] = $3; n[$2] = $4 }
$1 == "sbx" {
	ns[$2, $3] = better(ns[$2, $3], $4)
	for (i = 5; i <= 11; i++)
		count[$2, $3, i] = $i
}

function ratio(a, b) { return a != "" && b > 0 ? sprintf("%.2f", a / b) : "-" }

# Counts per operation: those of a run that does nothing else are taken off.
function per(r, op, i, d)
{
	d = (count[r, op, i] - count[r, "nothing", i]) / n[op]
	return sprintf("%.2f", d < 0 && d > -0.005 ? 0 : d)
}

function row(op, r, i)
{
	printf "%-19s %-5s %10s %9s %7s %9s", r == "host" ? op : "", r, r == "host" ? native[op] : "",
		ns[r, op], ratio(ns[r, op], native[op]), r == "auto" ? ratio(runsc[op], ns[r, op]) : ""
	for (i = 5; i <= 11; i++)
		printf " %7s", per(r, op, i)
	printf "\n"
}

# The first figure over the second, with the bound that it should keep.
function bound(what, a, b, limit)
{
	printf "%-58s %6s  %s\n", what, ratio(a, b), a + 0 <= limit * b ? "at most " limit : "OVER " limit
}

function judge(i, op, r, best)
{
	print "\nratios of this run:"
	bound("getppid in tier 0 : native getppid", ns["guest", "getppid"], native["getppid"], 0.5)
	for (i = 1; i <= ops; i++) {
		op = order[i]
		if (class[op] == "tier2")
			bound(op ", sentry in ring 0 : KVM_RUN/HLT + native " op, ns["guest", op], hlt + native[op], 1.25)
	}
	for (i = 1; i <= ops; i++)
		bound(order[i] ", sentry in ring 0 : in the host", ns["guest", order[i]], ns["host", order[i]], 1)
	for (i = 1; i <= ops; i++) {
		op = order[i]
		best = ns["host", op] + 0 < ns["guest", op] + 0 ? ns["host", op] : ns["guest", op]
		bound(op ", auto : the faster of both", ns["auto", op], best, 1)
	}
	for (i = 1; i <= ops && has_runsc; i++)
		if (order[i] in runsc)
			bound(order[i] ", auto : runsc", ns["auto", order[i]], runsc[order[i]], 0.5)
}

END {
	printf "%-19s %s ns\n\n", "KVM_RUN/HLT, bare", hlt
	printf "%-19s %-5s %10s %9s %7s %9s %7s %7s %7s %7s %7s %7s %7s\n", "operation", "resid", "native ns",
		"sbx ns", "sbx/nat", "runsc/sbx", "exits", "CR3", "tier 0", "tier 1", "sentry", "request", "redpill"
	for (i = 1; i <= ops; i++) {
		row(order[i], "host")
		row(order[i], "guest")
		row(order[i], "auto")
	}
	if (why)
		print "\nrunsc: " why
	judge()
}
