#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>
#include "sentry/file.h"
#include "sentry/mm_impl.h"

#define MAX_RW_COUNT 0x7ffff000ull
#define MAX_IOV	     1024

size_t gmem_zero_raw(void *dst, size_t n);
int gmem_load32_raw(const uint32_t *p, uint32_t *val);
int gmem_cmpxchg32_raw(uint32_t *p, uint32_t *expected, uint32_t desired);

/* ---- faults of the copy routines ---- */

struct fixup { /* distances from the members themselves */
	int32_t insn, target;
};
extern const struct fixup __start_sbx_fixup[], __stop_sbx_fixup[];

static struct sigaction old_bus, old_segv;

bool gmem_fixup(void *ucontext)
{
	greg_t *rip = &((ucontext_t *)ucontext)->uc_mcontext.gregs[REG_RIP];

	for (const struct fixup *f = __start_sbx_fixup; f < __stop_sbx_fixup; f++)
		if ((greg_t)&f->insn + f->insn == *rip) {
			*rip = (greg_t)&f->target + f->target;
			return true;
		}
	return false;
}

static void on_fault(int sig, siginfo_t *info, void *ucontext)
{
	const struct sigaction *old = sig == SIGBUS ? &old_bus : &old_segv;

	if (gmem_fixup(ucontext))
		return;
	if (old->sa_flags & SA_SIGINFO)
		old->sa_sigaction(sig, info, ucontext);
	else if (old->sa_handler != SIG_DFL && old->sa_handler != SIG_IGN)
		old->sa_handler(sig);
	else
		sigaction(sig, old, NULL); /* the instruction faults again and ends the process */
}

int gmem_init(struct sbx_err **e)
{
	static bool done;
	struct sigaction sa = {.sa_sigaction = on_fault,
			       .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};

	if (done)
		return 0;
	sigemptyset(&sa.sa_mask);
	if (sigaction(SIGBUS, &sa, &old_bus) < 0 || sigaction(SIGSEGV, &sa, &old_segv) < 0)
		return sbx_err_errno(e, errno, "handlers for memory faults");
	done = true;
	return 0;
}

/* ---- copying ---- */

/* Host address of the bytes at addr up to the end of their page. mm locked. NULL: no access. */
static uint8_t *host_at(struct mm *mm, uint64_t addr, unsigned access)
{
	struct vma *v;
	uint64_t off;

	if (mm_translate(mm, addr, access, &off, &v) != MM_FAULT_OK)
		return NULL;
	return pgpool_host(off);
}

enum copy_how { COPY_IN, COPY_OUT, COPY_ZERO };

static int copy_pages(struct mm *mm, uint64_t addr, uint8_t *buf, size_t n, enum copy_how how)
{
	unsigned access = how == COPY_IN ? PLATFORM_READ : PLATFORM_WRITE;

	while (n) {
		size_t part = MIN(n, (size_t)(PAGE_SIZE - addr % PAGE_SIZE)), left;
		uint8_t *host = host_at(mm, addr, access);

		if (!host)
			return -EFAULT;
		if (how == COPY_IN)
			left = gmem_copy_raw(buf, host, part);
		else if (how == COPY_OUT)
			left = gmem_copy_raw(host, buf, part);
		else
			left = gmem_zero_raw(host, part);
		if (left)
			return -EFAULT;
		addr += part;
		buf = buf ? buf + part : NULL;
		n -= part;
	}
	return 0;
}

static int copy(struct mm *mm, uint64_t addr, void *buf, size_t n, enum copy_how how)
{
	int ret;

	if (!n)
		return 0;
	if (addr >= MM_ADDR_MAX || n > MM_ADDR_MAX - addr)
		return -EFAULT;
	pthread_mutex_lock(&mm->lock);
	ret = copy_pages(mm, addr, buf, n, how);
	pthread_mutex_unlock(&mm->lock);
	return ret;
}

int gmem_read(struct mm *mm, void *dst, struct gptr src, size_t n)
{
	return copy(mm, src.addr, dst, n, COPY_IN);
}

int gmem_write(struct mm *mm, struct gptr dst, const void *src, size_t n)
{
	return copy(mm, dst.addr, (void *)src, n, COPY_OUT);
}

int gmem_zero(struct mm *mm, struct gptr dst, size_t n)
{
	return copy(mm, dst.addr, NULL, n, COPY_ZERO);
}

ssize_t gmem_read_str(struct mm *mm, char *dst, struct gptr src, size_t max)
{
	size_t done = 0;

	while (done < max) {
		uint64_t addr = src.addr + done;
		size_t part = MIN(max - done, (size_t)(PAGE_SIZE - addr % PAGE_SIZE));
		size_t len;

		if (addr < src.addr || gmem_read(mm, dst + done, gptr_at(addr), part) < 0)
			return -EFAULT;
		len = strnlen(dst + done, part);
		done += len;
		if (len < part)
			return (ssize_t)done;
	}
	return -ENAMETOOLONG;
}

/* ---- futex words ---- */

int gmem_load32(struct mm *mm, struct gptr p, uint32_t *val)
{
	int ret = -EFAULT;
	uint8_t *host;

	if (p.addr % 4)
		return -EFAULT;
	pthread_mutex_lock(&mm->lock);
	host = host_at(mm, p.addr, PLATFORM_READ);
	if (host && !gmem_load32_raw((uint32_t *)(void *)host, val))
		ret = 0;
	pthread_mutex_unlock(&mm->lock);
	return ret;
}

int gmem_cmpxchg32(struct mm *mm, struct gptr p, uint32_t *expected, uint32_t desired, bool *ok)
{
	int ret = 1;
	uint8_t *host;

	if (p.addr % 4)
		return -EFAULT;
	pthread_mutex_lock(&mm->lock);
	host = host_at(mm, p.addr, PLATFORM_WRITE);
	if (host)
		ret = gmem_cmpxchg32_raw((uint32_t *)(void *)host, expected, desired);
	pthread_mutex_unlock(&mm->lock);
	*ok = ret == 0;
	return ret == 1 ? -EFAULT : 0;
}

/* Mixes the identity of a file page; two different pages agree with a chance of 2^-63. */
static uint64_t mix(uint64_t h, uint64_t v)
{
	h = (h ^ v) * 0x9e3779b97f4a7c15ull;
	return h ^ (h >> 29);
}

static uint64_t file_key(const struct vma *v, uint64_t addr)
{
	struct stat st;
	uint64_t h = 0x5b2d;

	if (v->file->hostfd >= 0 && !fstat(v->file->hostfd, &st))
		h = mix(mix(h, st.st_dev), st.st_ino);
	else
		h = mix(h, (uint64_t)(uintptr_t)v->file->node);
	return mix(h, v->off + (addr - v->start)) | 1ull << 63;
}

int gmem_key(struct mm *mm, struct gptr p, uint64_t *key, bool *private)
{
	struct vma *v;
	uint64_t off;
	int ret = -EFAULT;

	pthread_mutex_lock(&mm->lock);
	if (mm_translate(mm, p.addr, PLATFORM_READ, &off, &v) == MM_FAULT_OK) {
		*key = v->kind == VMA_FILE && (v->flags & VMA_SHARED) ? file_key(v, p.addr) : off;
		*private = v->kind != VMA_SHM && !(v->flags & VMA_SHARED);
		ret = 0;
	}
	pthread_mutex_unlock(&mm->lock);
	return ret;
}

/* ---- pins ---- */

static void hold(const struct vma *v, uint64_t off, bool first)
{
	if (v->kind != VMA_FILE)
		pgpool_get((uint32_t)(off >> PGPOOL_SHIFT));
	else if (first)
		pgrange_get(v->range);
}

/* Adds [addr, addr+len) to out; returns how much of it was pinned. mm locked. */
static size_t pin_range(struct mm *mm, uint64_t addr, size_t len, unsigned access,
			struct gmem_pin *out)
{
	struct vma *v, *last_vma = NULL;
	size_t done = 0;

	if (addr >= MM_ADDR_MAX)
		return 0;
	len = MIN(len, (size_t)(MM_ADDR_MAX - addr));
	while (done < len) {
		struct iovec *last = out->niov ? &out->iov[out->niov - 1] : NULL;
		size_t part = MIN(len - done, (size_t)(PAGE_SIZE - addr % PAGE_SIZE));
		uint8_t *host;
		uint64_t off;
		bool joins;

		if (mm_translate(mm, addr, access, &off, &v) != MM_FAULT_OK)
			break;
		host = pgpool_host(off);
		joins = last && v == last_vma && host == (uint8_t *)last->iov_base + last->iov_len;
		if (!joins && out->niov == GMEM_IOV_MAX)
			break;
		hold(v, off, !joins);
		if (joins)
			last->iov_len += part;
		else
			out->iov[out->niov++] = (struct iovec){.iov_base = host, .iov_len = part};
		last_vma = v;
		addr += part;
		done += part;
	}
	return done;
}

int gmem_pin(struct mm *mm, struct gptr p, size_t len, bool for_write, struct gmem_pin *out)
{
	struct iovec one = {.iov_base = (void *)(uintptr_t)p.addr, .iov_len = len};

	return gmem_pin_iov(mm, &one, 1, for_write, out);
}

int gmem_pin_iov(struct mm *mm, const struct iovec *app_iov, int n, bool for_write,
		 struct gmem_pin *out)
{
	unsigned access = for_write ? PLATFORM_WRITE : PLATFORM_READ;
	bool wanted = false;

	out->mm = mm_get(mm);
	out->niov = 0;
	out->total = 0;
	pthread_mutex_lock(&mm->lock);
	for (int i = 0; i < n; i++) {
		size_t len = MIN(app_iov[i].iov_len, (size_t)MAX_RW_COUNT - out->total), got;

		if (!len)
			continue;
		wanted = true;
		got = pin_range(mm, (uint64_t)(uintptr_t)app_iov[i].iov_base, len, access, out);
		out->total += got;
		if (got < len)
			break;
	}
	pthread_mutex_unlock(&mm->lock);
	if (wanted && !out->total) {
		gmem_unpin(out);
		return -EFAULT;
	}
	return 0;
}

int gmem_copy_pinned(void *dst, const void *src, size_t n)
{
	return gmem_copy_raw(dst, src, n) ? -EFAULT : 0;
}

void gmem_unpin(struct gmem_pin *pin)
{
	for (int i = 0; i < pin->niov; i++) {
		uint64_t off, end;

		if (!pgpool_offset(pin->iov[i].iov_base, &off))
			continue;
		if (pgpool_is_anon(off)) {
			end = ALIGN_UP(off + pin->iov[i].iov_len, PAGE_SIZE);
			off &= PAGE_MASK;
			pgpool_put((uint32_t)(off >> PGPOOL_SHIFT),
				   (uint32_t)((end - off) >> PGPOOL_SHIFT));
		} else {
			struct pgrange *r = pgrange_at(off);

			if (r) {
				pgrange_put(r); /* what pgrange_at took */
				pgrange_put(r); /* what hold took */
			}
		}
	}
	pin->niov = 0;
	if (pin->mm)
		mm_put(pin->mm);
	pin->mm = NULL;
}

int gmem_read_iov(struct mm *mm, struct gptr src, size_t n, struct iovec *dst)
{
	uint64_t total = 0;

	if (n > MAX_IOV)
		return -EINVAL;
	if (gmem_read(mm, dst, src, n * sizeof(*dst)) < 0)
		return -EFAULT;
	for (size_t i = 0; i < n; i++) {
		if ((ssize_t)dst[i].iov_len < 0)
			return -EINVAL;
		dst[i].iov_len = MIN(dst[i].iov_len, (size_t)(MAX_RW_COUNT - total));
		total += dst[i].iov_len;
	}
	return 0;
}
