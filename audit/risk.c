/* What must never be granted by pasting a suggestion. */
#include <fnmatch.h>
#include <stddef.h>
#include <string.h>
#include "audit/record.h"
#include "base/overflow.h"

static const struct {
	const char *pattern, *risk;
} path_risks[] = {
	{"/etc/shadow*", "credential"},
	{"/etc/gshadow*", "credential"},
	{"/etc/sudoers*", "credential"},
	{"/etc/ssl/private/*", "credential"},
	{"/etc/ssh/*_key", "credential"},
	{"*/.ssh/*", "credential"},
	{"*/.gnupg/*", "credential"},
	{"*/.netrc", "credential"},
	{"*/.aws/*", "credential"},
	{"*/.kube/*", "credential"},
	{"*/.docker/config.json", "credential"},
	{"*/.git-credentials", "credential"},
	{"*/.config/gcloud/*", "credential"},
	{"*id_rsa*", "credential"},
	{"*id_ed25519*", "credential"},
	{"*.pem", "credential"},
	{"*/docker.sock", "escape"},
	{"*/containerd.sock", "escape"},
	{"/dev/kvm", "kernel"},
	{"/dev/mem", "kernel"},
	{"/dev/kmem", "kernel"},
	{"/dev/sd*", "kernel"},
	{"/dev/nvme*", "kernel"},
	{"/proc/kcore", "kernel"},
	{"/proc/*/mem", "escape"},
	{"/boot/*", "kernel"},
};

static const struct {
	const char *call, *risk;
} call_risks[] = {
	{"ptrace", "escape"},	       {"process_vm_readv", "escape"}, {"process_vm_writev", "escape"},
	{"pidfd_getfd", "escape"},     {"mount", "kernel"},	       {"umount2", "kernel"},
	{"pivot_root", "kernel"},      {"setns", "kernel"},	       {"unshare", "kernel"},
	{"init_module", "kernel"},     {"finit_module", "kernel"},     {"delete_module", "kernel"},
	{"kexec_load", "kernel"},      {"kexec_file_load", "kernel"},  {"bpf", "kernel"},
	{"perf_event_open", "kernel"}, {"reboot", "kernel"},	       {"swapon", "kernel"},
	{"swapoff", "kernel"},	       {"iopl", "kernel"},	       {"ioperm", "kernel"},
	{"add_key", "credential"},     {"request_key", "credential"},  {"keyctl", "credential"},
	{"userfaultfd", "kernel"},     {"open_by_handle_at", "escape"},
};

const char *audit_risk_path(const char *path)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(path_risks); i++)
		if (!fnmatch(path_risks[i].pattern, path, 0))
			return path_risks[i].risk;
	return NULL;
}

const char *audit_risk_call(const char *syscall)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(call_risks); i++)
		if (!strcmp(call_risks[i].call, syscall))
			return call_risks[i].risk;
	return NULL;
}
