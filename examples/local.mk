sbxfragmentsdir = $(policydir)/sbx
dist_policy_DATA = \
	examples/policies/c-build.pol \
	examples/policies/compute.pol \
	examples/policies/nginx.pol \
	examples/policies/node-web.pol \
	examples/policies/redis.pol \
	examples/policies/python.pol \
	examples/policies/tools.pol examples/policies/shell.pol examples/policies/build.pol \
	examples/policies/trial.pol \
	examples/policies/web.pol \
	examples/policies/runtime.pol \
	examples/policies/postgres.pol
dist_sbxfragments_DATA = \
	examples/policies/sbx/dynamic.pol \
	examples/policies/sbx/pty.pol \
	examples/policies/sbx/python3.pol
EXTRA_DIST += examples/demo
