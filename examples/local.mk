dist_policy_DATA =
sbxfragmentsdir = $(policydir)/sbx
dist_sbxfragments_DATA =
