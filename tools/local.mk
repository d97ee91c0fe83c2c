dist_noinst_SCRIPTS += tools/check-all tools/check-includes tools/conformance tools/svm-vm tools/vmx-check
EXTRA_DIST += tools/conformance.pol tools/conformance.known
