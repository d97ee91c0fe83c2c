/* The host filter: confine_calls.def and the calls that are judged by their arguments. */
#include "sentry/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/kvm.h>
#include <linux/random.h>
#include <linux/prctl.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <termios.h>
#include <ucontext.h>
#include <unistd.h>
#include "base/overflow.h"

#define DIR(n)	(1u << (n))
#define FD_SIGN 0x80000000ull /* set in negative descriptors, AT_FDCWD among them */

enum when { ALWAYS, READ, WRITE, NET, WRITE_NET };

static const struct row {
	int nr;
	enum when when;
	unsigned dirs;
} rows[] = {
#define CALL(name, when, dirs, why) {__NR_##name, when, dirs},
#include "sentry/confine_calls.def"
#undef CALL
};

static const char *const row_names[] = {
#define CALL(name, when, dirs, why) #name,
#include "sentry/confine_calls.def"
#undef CALL
};

/* Termios calls with the kernel's structures: not in libc's headers under these names. */
#define KERNEL_TCGETS2	0x802c542au
#define KERNEL_TCSETS2	0x402c542bu
#define KERNEL_TCSETSW2 0x402c542cu
#define KERNEL_TCSETSF2 0x402c542du

static const uint32_t ioctls[] = {
	/* the machine: contexts and window slots come and go while the app runs */
	KVM_RUN, KVM_CHECK_EXTENSION, KVM_CREATE_VCPU, KVM_GET_VCPU_MMAP_SIZE,
	KVM_SET_USER_MEMORY_REGION, KVM_GET_REGS, KVM_SET_REGS, KVM_GET_SREGS, KVM_SET_SREGS,
	KVM_GET_MSRS, KVM_SET_MSRS, KVM_GET_XSAVE, KVM_SET_XSAVE, KVM_GET_XCRS, KVM_SET_XCRS,
	KVM_GET_FPU, KVM_SET_FPU, KVM_SET_CPUID2, KVM_GET_SUPPORTED_CPUID, KVM_GET_VCPU_EVENTS,
	KVM_SET_VCPU_EVENTS, KVM_GET_DEBUGREGS, KVM_SET_DEBUGREGS, KVM_SET_SIGNAL_MASK,
	KVM_GET_TSC_KHZ, KVM_SET_TSC_KHZ, KVM_GET_DEVICE_ATTR, KVM_SET_DEVICE_ATTR,
	KVM_HAS_DEVICE_ATTR, KVM_ENABLE_CAP, KVM_GET_MP_STATE, KVM_SET_MP_STATE,
	/* terminals, pipes, sockets of the app */
	TCGETS, TCSETS, TCSETSW, TCSETSF, KERNEL_TCGETS2, KERNEL_TCSETS2, KERNEL_TCSETSW2,
	KERNEL_TCSETSF2, TCSBRK, TCXONC, TCFLSH, TIOCGWINSZ, TIOCSWINSZ, TIOCOUTQ, RNDGETENTCNT, FIONREAD, FIONBIO,
	FIOCLEX, FIONCLEX, 0x8905 /* SIOCATMARK */, 0x894b /* SIOCOUTQNSD */,
	0x8906 /* SIOCGSTAMP */, 0x8907 /* SIOCGSTAMPNS */,
};

static const uint32_t fcntls[] = {
	F_DUPFD,	F_DUPFD_CLOEXEC, F_GETFD,     F_SETFD,	     F_GETFL,
	F_SETFL,	F_GETLK,	 F_SETLK,     F_SETLKW,	     F_OFD_GETLK,
	F_OFD_SETLK,	F_OFD_SETLKW,	 F_GETPIPE_SZ, F_SETPIPE_SZ, F_ADD_SEALS,
	F_GET_SEALS,
};

static const uint32_t prctls[] = {PR_SET_NAME, PR_GET_NAME, PR_SET_TIMERSLACK, PR_GET_TIMERSLACK};

/* ---- refusal at run time ---- */

static const char *call_name(int nr)
{
	static const struct {
		int nr;
		const char *name;
	} notable[] = {
#define N(name) {__NR_##name, #name}
		N(execve), N(execveat), N(ptrace), N(mount), N(open), N(kill), N(tgkill), N(fork),
		N(vfork), N(clone), N(unshare), N(setns), N(stat), N(lstat), N(access), N(readlink),
		N(chdir), N(mmap), N(mprotect), N(ioctl), N(fcntl), N(prctl), N(socket),
		N(socketpair), N(process_vm_readv), N(prlimit64), N(statfs), N(unlink), N(getcwd),
		N(signalfd4), N(timer_create), N(wait4), N(arch_prctl),
#undef N
	};

	for (size_t i = 0; i < ARRAY_SIZE(notable); i++)
		if (notable[i].nr == nr)
			return notable[i].name;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (rows[i].nr == nr)
			return row_names[i];
	return "of an unlisted kind";
}

static size_t put_text(char *to, size_t at, size_t cap, const char *s)
{
	while (*s && at < cap)
		to[at++] = *s++;
	return at;
}

static size_t put_hex(char *to, size_t at, size_t cap, uint64_t v)
{
	int shift = 60;

	at = put_text(to, at, cap, "0x");
	while (shift && !(v >> shift))
		shift -= 4;
	for (; shift >= 0 && at < cap; shift -= 4)
		to[at++] = "0123456789abcdef"[v >> shift & 15];
	return at;
}

static void say_refused(int nr, const ucontext_t *uc)
{
	static const int args[] = {REG_RDI, REG_RSI, REG_RDX};
	const greg_t *g = uc->uc_mcontext.gregs;
	char line[200];
	size_t n = put_text(line, 0, sizeof(line), "sbx: internal: host call ");

	n = put_text(line, n, sizeof(line), call_name(nr));
	n = put_text(line, n, sizeof(line), " (");
	n = put_hex(line, n, sizeof(line), (uint64_t)nr);
	for (size_t i = 0; i < ARRAY_SIZE(args); i++) {
		n = put_text(line, n, sizeof(line), i ? ", " : ": ");
		n = put_hex(line, n, sizeof(line), (uint64_t)g[args[i]]);
	}
	n = put_text(line, n, sizeof(line), ") refused by own filter\n");
	(void)!write(2, line, n);
}

/* Calls refused for an argument that the app has a say in: an error for it, not the end of sbx. */
static int soft_errno(int nr)
{
	switch (nr) {
	case __NR_ioctl:
		return ENOTTY;
	case __NR_fcntl:
	case __NR_prctl:
		return EINVAL;
	case __NR_socket:
	case __NR_socketpair:
		return EACCES;
	default:
		return 0;
	}
}

static void on_sigsys(int sig, siginfo_t *si, void *ctx)
{
	ucontext_t *uc = ctx;
	int err = soft_errno(si->si_syscall);

	if (err) {
		uc->uc_mcontext.gregs[REG_RAX] = -err;
		return;
	}
	say_refused(si->si_syscall, uc);
	_exit(SBX_EXIT_SETUP);
}

static int install_handler(struct sbx_err **e)
{
	struct sigaction sa = {.sa_sigaction = on_sigsys, .sa_flags = SA_SIGINFO | SA_NODEFER};
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGSYS);
	if (sigaction(SIGSYS, &sa, NULL) || sigprocmask(SIG_UNBLOCK, &set, NULL))
		return sbx_err_errno(e, errno, "cannot install the handler of SIGSYS");
	return 0;
}

/* ---- building ---- */

static bool holds(const struct confine_opts *o, enum when when)
{
	switch (when) {
	case READ:
		return o->files_read;
	case WRITE:
		return o->files_write;
	case NET:
		return o->net_inet || o->net_unix;
	case WRITE_NET:
		return o->files_write || o->net_unix;
	default:
		return true;
	}
}

static struct scmp_arg_cmp equals(unsigned arg, uint64_t val)
{
	return (struct scmp_arg_cmp){.arg = arg, .op = SCMP_CMP_EQ, .datum_a = val};
}

static struct scmp_arg_cmp masked(unsigned arg, uint64_t mask, uint64_t val)
{
	return (struct scmp_arg_cmp){
		.arg = arg, .op = SCMP_CMP_MASKED_EQ, .datum_a = mask, .datum_b = val};
}

static int allow_if(scmp_filter_ctx f, int nr, struct scmp_arg_cmp cmp)
{
	return seccomp_rule_add_array(f, SCMP_ACT_ALLOW, nr, 1, &cmp);
}

static int add_row(scmp_filter_ctx f, const struct confine_opts *o, const struct row *row)
{
	struct scmp_arg_cmp cmp[2], bad;
	unsigned n = 0;
	int r = 0;

	if (!holds(o, row->when))
		return seccomp_rule_add(f, SCMP_ACT_ERRNO(EPERM), row->nr, 0);
	for (unsigned i = 0; i < 6 && !r; i++) {
		if (!(row->dirs & DIR(i)))
			continue;
		cmp[n++] = masked(i, FD_SIGN, 0);
		bad = masked(i, FD_SIGN, FD_SIGN);
		r = seccomp_rule_add_array(f, SCMP_ACT_ERRNO(EACCES), row->nr, 1, &bad);
	}
	return r ? r : seccomp_rule_add_array(f, SCMP_ACT_ALLOW, row->nr, n, cmp);
}

static int add_values(scmp_filter_ctx f, int nr, unsigned arg, const uint32_t *v, size_t n)
{
	int r = 0;

	for (size_t i = 0; i < n && !r; i++)
		r = allow_if(f, nr, equals(arg, v[i]));
	return r;
}

#define WINDOW_BLOCK_MIN 4096ull

/* The platform makes the host drop cached translations of app pages by changing a protection to
 * executable and back. Only in the window, which is written as blocks whose sizes are powers of two,
 * because a filter can compare an argument once. */
static int add_window(scmp_filter_ctx f, const struct confine_opts *o)
{
	uint64_t at = ALIGN_UP(o->window_base, WINDOW_BLOCK_MIN), size;
	uint64_t end = ALIGN_DOWN(o->window_base + o->window_size, WINDOW_BLOCK_MIN);
	struct scmp_arg_cmp cmp[2];
	int r = 0;

	for (; at < end && !r; at += size) {
		size = 1ull << __builtin_ctzll(at);
		while (size > end - at)
			size >>= 1;
		cmp[0] = masked(0, ~(size - 1), at);
		cmp[1] = masked(2, PROT_EXEC, PROT_EXEC);
		r = seccomp_rule_add_array(f, SCMP_ACT_ALLOW, __NR_mprotect, 2, cmp);
	}
	return r;
}

/* Nothing that could run is mapped any more; no process is made; only our own threads get signals. */
static int add_process(scmp_filter_ctx f, const struct confine_opts *o)
{
	const uint64_t thread = CLONE_VM | CLONE_THREAD | CLONE_SIGHAND;
	const uint64_t self = (uint64_t)getpid();
	int r = allow_if(f, __NR_mmap, masked(2, PROT_EXEC, 0));

	r = r ? r : allow_if(f, __NR_mprotect, masked(2, PROT_EXEC, 0));
	r = r ? r : add_window(f, o);
	r = r ? r : allow_if(f, __NR_clone, masked(0, thread, thread));
	/* its flags cannot be seen; libc goes on with clone */
	r = r ? r : seccomp_rule_add(f, SCMP_ACT_ERRNO(ENOSYS), __NR_clone3, 0);
	r = r ? r : allow_if(f, __NR_kill, equals(0, self)); /* stopping with the app */
	r = r ? r : allow_if(f, __NR_tgkill, equals(0, self));
	r = r ? r : allow_if(f, __NR_rt_tgsigqueueinfo, equals(0, self));
	r = r ? r : allow_if(f, __NR_process_vm_readv, equals(0, self));
	return r ? r : allow_if(f, __NR_prlimit64, equals(0, 0));
}

/* Socket pairs need no grant; but a datagram one could send to any socket's name. */
static int add_pair(scmp_filter_ctx f, uint64_t type)
{
	const struct scmp_arg_cmp cmp[] = {equals(0, AF_UNIX), masked(1, 0xf, type)};

	return seccomp_rule_add_array(f, SCMP_ACT_ALLOW, __NR_socketpair, ARRAY_SIZE(cmp), cmp);
}

static int add_sockets(scmp_filter_ctx f, const struct confine_opts *o)
{
	int r = add_pair(f, SOCK_STREAM);

	r = r ? r : add_pair(f, SOCK_SEQPACKET);
	if (!r && o->net_unix)
		r = add_pair(f, SOCK_DGRAM);
	if (!r && o->net_unix)
		r = allow_if(f, __NR_socket, equals(0, AF_UNIX));
	if (!r && o->net_inet)
		r = allow_if(f, __NR_socket, equals(0, AF_INET));
	if (!r && o->net_inet)
		r = allow_if(f, __NR_socket, equals(0, AF_INET6));
	return r;
}

static int build(scmp_filter_ctx f, const struct confine_opts *o)
{
	int r = add_values(f, __NR_ioctl, 1, ioctls, ARRAY_SIZE(ioctls));

	for (size_t i = 0; i < ARRAY_SIZE(rows) && !r; i++)
		r = add_row(f, o, &rows[i]);
	r = r ? r : add_values(f, __NR_fcntl, 1, fcntls, ARRAY_SIZE(fcntls));
	r = r ? r : add_values(f, __NR_prctl, 0, prctls, ARRAY_SIZE(prctls));
	r = r ? r : add_process(f, o);
	return r ? r : add_sockets(f, o);
}

int confine_filter(const struct confine_opts *o, struct sbx_err **e)
{
	scmp_filter_ctx f;
	int r;

	if (install_handler(e))
		return -1;
	f = seccomp_init(SCMP_ACT_TRAP);
	if (!f)
		return sbx_err_set(e, "libseccomp cannot make a filter");
	r = seccomp_attr_set(f, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	r = r ? r : seccomp_attr_set(f, SCMP_FLTATR_CTL_TSYNC, 1);
	r = r ? r : seccomp_attr_set(f, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	r = r ? r : build(f, o);
	r = r ? r : seccomp_load(f);
	seccomp_release(f);
	return r ? sbx_err_errno(e, -r, "cannot install the host filter") : 0;
}
