sbxfragmentsdir = $(policydir)/sbx
dist_policy_DATA =
dist_sbxfragments_DATA =
EXTRA_DIST += examples/demo
