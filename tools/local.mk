dist_noinst_SCRIPTS += tools/check-all tools/check-includes tools/svm-vm tools/vmx-check
