#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "base/overflow.h"
#include "sentry/pagemap.h"
#include "tests/unit/fake_platform.h"

struct platform {
	uint8_t *window;
	size_t size;
};

struct platform_as {
	struct platform *p;
	pthread_mutex_t lock;
	struct pagemap off, prot;
};

struct platform_ctx {
	struct platform_as *as;
	struct platform_regs regs;
	uint64_t fsbase, gsbase;
	int64_t consts[PLATFORM_CONST_MAX];
	atomic_bool kicked;
	uint8_t fpu[4096];
	void *worker;
};

size_t fake_window_size;
uint64_t fake_tsc_khz;
bool fake_tsc_variable;
unsigned fake_maps, fake_unmaps, fake_protects, fake_commits;

int platform_create(const struct platform_opts *opts, struct platform **out, struct sbx_err **e)
{
	struct platform *p = calloc(1, sizeof(*p));
	size_t slack = 2u << 20;
	uint8_t *at;

	if (!p)
		return sbx_err_errno(e, ENOMEM, "fake platform");
	p->size = fake_window_size ? fake_window_size : (size_t)8 << 30;
	at = mmap(NULL, p->size + slack, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (at == MAP_FAILED) {
		free(p);
		return sbx_err_errno(e, errno, "fake window");
	}
	p->window = (uint8_t *)ALIGN_UP((uintptr_t)at, (uintptr_t)slack);
	*out = p;
	return 0;
}

void platform_destroy(struct platform **p)
{
	munmap((*p)->window, (*p)->size);
	free(*p);
	*p = NULL;
}

unsigned platform_ctx_max(const struct platform *p)
{
	return 64;
}

uint64_t platform_hwcap2(const struct platform *p)
{
	return 2;
}

uint64_t platform_xcr0(const struct platform *p)
{
	return 3;
}

size_t platform_fpu_size(const struct platform *p)
{
	return 576;
}

bool platform_resident(const struct platform *p)
{
	return false;
}

bool platform_tsc_invariant(const struct platform *p)
{
	return !fake_tsc_variable;
}

bool platform_tsc_shared(const struct platform *p, uint64_t *khz)
{
	*khz = fake_tsc_khz;
	return fake_tsc_khz != 0;
}

void *platform_window(const struct platform *p, size_t *size)
{
	*size = p->size;
	return p->window;
}

int platform_window_commit(struct platform *p, uint64_t off, uint64_t len)
{
	fake_commits++;
	return off + len <= p->size ? 0 : -ENOMEM;
}

void platform_window_backing(struct platform *p, uint64_t off, uint64_t len,
			     enum platform_backing kind)
{
}

int platform_as_create(struct platform *p, struct platform_as **out)
{
	struct platform_as *as = calloc(1, sizeof(*as));

	if (!as)
		return -ENOMEM;
	as->p = p;
	pthread_mutex_init(&as->lock, NULL);
	*out = as;
	return 0;
}

void platform_as_destroy(struct platform_as **as)
{
	pagemap_free(&(*as)->off);
	pagemap_free(&(*as)->prot);
	free(*as);
	*as = NULL;
}

int platform_map(struct platform_as *as, uint64_t va, uint64_t len, uint64_t off, unsigned prot)
{
	uint64_t i = va / PLATFORM_PAGE, n = len / PLATFORM_PAGE;
	int ret = 0;

	prot &= ~(unsigned)PLATFORM_HOT;
	if (va % PLATFORM_PAGE || len % PLATFORM_PAGE || off % PLATFORM_PAGE || !len || !prot ||
	    va + len > 1ull << 47 || off + len > as->p->size)
		abort();
	pthread_mutex_lock(&as->lock);
	fake_maps++;
	if (pagemap_reserve(&as->off, i, n) < 0 || pagemap_reserve(&as->prot, i, n) < 0)
		ret = -ENOMEM;
	for (uint64_t k = 0; !ret && k < n; k++) {
		pagemap_set(&as->off, i + k, (uint32_t)(off / PLATFORM_PAGE + k));
		pagemap_set(&as->prot, i + k, prot);
	}
	pthread_mutex_unlock(&as->lock);
	return ret;
}

static void clear(struct pagemap *m, uint64_t i, uint64_t end)
{
	struct pagemap_run r;

	for (; pagemap_next_run(m, i, end, &r); i = r.index + r.n)
		pagemap_clear(m, r.index, r.n);
}

void platform_unmap(struct platform_as *as, uint64_t va, uint64_t len)
{
	uint64_t i = va / PLATFORM_PAGE, end = i + len / PLATFORM_PAGE;

	if (va % PLATFORM_PAGE || len % PLATFORM_PAGE)
		abort();
	pthread_mutex_lock(&as->lock);
	fake_unmaps++;
	clear(&as->off, i, end);
	clear(&as->prot, i, end);
	pthread_mutex_unlock(&as->lock);
}

void platform_protect(struct platform_as *as, uint64_t va, uint64_t len, unsigned prot)
{
	uint64_t i = va / PLATFORM_PAGE, end = i + len / PLATFORM_PAGE;
	struct pagemap_run r;

	if (va % PLATFORM_PAGE || len % PLATFORM_PAGE || !prot)
		abort();
	pthread_mutex_lock(&as->lock);
	fake_protects++;
	for (; pagemap_next_run(&as->off, i, end, &r); i = r.index + r.n)
		for (uint32_t k = 0; k < r.n; k++)
			pagemap_set(&as->prot, r.index + k, prot);
	pthread_mutex_unlock(&as->lock);
}

bool platform_as_alone(struct platform_as *as)
{
	return true;
}

void platform_write_protect(struct platform_as *as, const struct platform_range *r, size_t n)
{
	struct pagemap_run run;

	pthread_mutex_lock(&as->lock);
	fake_protects++;
	for (size_t k = 0; k < n; k++) {
		uint64_t i = r[k].va / PLATFORM_PAGE, end = i + r[k].len / PLATFORM_PAGE;

		for (; pagemap_next_run(&as->off, i, end, &run); i = run.index + run.n)
			for (uint32_t j = 0; j < run.n; j++)
				pagemap_set(&as->prot, run.index + j,
					    pagemap_get(&as->prot, run.index + j) &
						    ~(uint32_t)PLATFORM_WRITE);
	}
	pthread_mutex_unlock(&as->lock);
}

bool platform_lookup(struct platform_as *as, uint64_t va, uint64_t *off, unsigned *prot)
{
	uint32_t page;

	pthread_mutex_lock(&as->lock);
	page = pagemap_get(&as->off, va / PLATFORM_PAGE);
	if (page != PAGEMAP_NONE) {
		*off = (uint64_t)page * PLATFORM_PAGE;
		*prot = pagemap_get(&as->prot, va / PLATFORM_PAGE);
	}
	pthread_mutex_unlock(&as->lock);
	return page != PAGEMAP_NONE;
}

bool fake_access(struct platform_as *as, uint64_t va, void *buf, size_t n, bool write)
{
	uint8_t *p = buf;

	while (n) {
		size_t part = MIN(n, (size_t)(PLATFORM_PAGE - va % PLATFORM_PAGE));
		unsigned prot;
		uint64_t off;

		if (!platform_lookup(as, va, &off, &prot) ||
		    !(prot & (write ? PLATFORM_WRITE : PLATFORM_READ)))
			return false;
		if (write)
			memcpy(as->p->window + off + va % PLATFORM_PAGE, p, part);
		else
			memcpy(p, as->p->window + off + va % PLATFORM_PAGE, part);
		p += part;
		va += part;
		n -= part;
	}
	return true;
}

uint64_t fake_present(struct platform_as *as)
{
	return as->off.pages;
}

int platform_ctx_create(struct platform *p, struct platform_as *as, void *tag,
			struct platform_ctx **out)
{
	*out = calloc(1, sizeof(**out));
	if (!*out)
		return -ENOMEM;
	(*out)->as = as;
	return 0;
}

void platform_ctx_detach(struct platform_ctx *ctx) {}

void **platform_ctx_worker(struct platform_ctx *ctx)
{
	return &ctx->worker;
}

void platform_ctx_destroy(struct platform_ctx **ctx)
{
	free(*ctx);
	*ctx = NULL;
}

void platform_ctx_set_as(struct platform_ctx *ctx, struct platform_as *as)
{
	ctx->as = as;
}

struct platform_regs *platform_ctx_regs(struct platform_ctx *ctx)
{
	return &ctx->regs;
}

uint64_t platform_ctx_fsbase(struct platform_ctx *ctx)
{
	return ctx->fsbase;
}

uint64_t platform_ctx_gsbase(struct platform_ctx *ctx)
{
	return ctx->gsbase;
}

int platform_ctx_set_fsbase(struct platform_ctx *ctx, uint64_t v)
{
	ctx->fsbase = v;
	return v >> 47 ? -EPERM : 0;
}

int platform_ctx_set_gsbase(struct platform_ctx *ctx, uint64_t v)
{
	ctx->gsbase = v;
	return v >> 47 ? -EPERM : 0;
}

int platform_ctx_fpu_save(struct platform_ctx *ctx, void *area)
{
	memcpy(area, ctx->fpu, 576);
	return 0;
}

int platform_ctx_fpu_load(struct platform_ctx *ctx, const void *area)
{
	if (area)
		memcpy(ctx->fpu, area, 576);
	else
		memset(ctx->fpu, 0, sizeof(ctx->fpu));
	return 0;
}

int64_t *platform_ctx_consts(struct platform_ctx *ctx)
{
	return ctx->consts;
}

void platform_ctx_set_view(struct platform_ctx *ctx, uint32_t view)
{
}

void platform_run(struct platform_ctx *ctx, struct platform_event *ev)
{
	*ev = (struct platform_event){.kind = PLATFORM_INTERRUPTED};
	atomic_store(&ctx->kicked, false);
}

void platform_kick(struct platform_ctx *ctx)
{
	atomic_store(&ctx->kicked, true);
}

int platform_kick_signal(void)
{
	return 40;
}

void platform_ctx_stats(const struct platform_ctx *ctx, struct platform_stats *out)
{
	memset(out, 0, sizeof(*out));
}
