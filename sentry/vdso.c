/* Keeps the vDSO's page fitted to the host's clocks, and maps the vDSO into address spaces. */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/timex.h>
#include <time.h>
#include "sentry/mm_impl.h"
#include "sentry/vdso.h"
#include "sentry/vdso/clock.h"

#define SAMPLES	     5		     /* of which the tightest counts */
#define SLEW_NS	     VDSO_NS	     /* an error is worked off in this time */
#define SLEW_PPM     500	     /* at most this fast */
#define JUMP_NS	     10000000ll	     /* a larger lag is jumped over */
#define RATE_MIN_NS  100000000ull    /* a shorter interval says little about the rate */
#define OFFSET_NOISE 2000ll	     /* smaller changes of an offset are measuring errors */

extern const uint8_t vdso_image[], vdso_image_end[];

/* The host's clocks at one moment. */
struct sample {
	uint64_t tsc, mono, raw, real, boot;
};

static struct {
	pthread_mutex_t lock;
	struct vdso_data *data; /* NULL: no vDSO */
	struct mm_shm *vvar, *text;
	uint64_t text_len;
	struct sample last;
	uint64_t mono_rate, raw_rate; /* the host's own, ns per tick times 2^32 */
} vdso = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* ---- measuring ---- */

static uint64_t now(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * VDSO_NS + (uint64_t)ts.tv_nsec;
}

/* Reads clock between two readings of the TSC; *tsc is their middle. */
static uint64_t sample_clock(clockid_t clock, uint64_t *tsc)
{
	uint64_t best = UINT64_MAX, value = 0;

	for (int i = 0; i < SAMPLES; i++) {
		uint64_t before = vdso_tsc(), v = now(clock), after = vdso_tsc();

		if (after - before >= best)
			continue;
		best = after - before;
		*tsc = before + best / 2;
		value = v;
	}
	return value;
}

static uint64_t ticks_to_ns(uint64_t ticks, uint64_t rate)
{
	return (uint64_t)(((unsigned __int128)ticks * rate) >> 32);
}

/* All clocks, brought to the moment of the monotonic one. */
static struct sample take_sample(void)
{
	struct sample s;
	uint64_t tsc;

	s.mono = sample_clock(CLOCK_MONOTONIC, &s.tsc);
	s.raw = sample_clock(CLOCK_MONOTONIC_RAW, &tsc);
	s.raw -= ticks_to_ns(tsc - s.tsc, vdso.raw_rate);
	s.real = sample_clock(CLOCK_REALTIME, &tsc);
	s.real -= ticks_to_ns(tsc - s.tsc, vdso.mono_rate);
	s.boot = sample_clock(CLOCK_BOOTTIME, &tsc);
	s.boot -= ticks_to_ns(tsc - s.tsc, vdso.mono_rate);
	return s;
}

/* ---- fitting ---- */

/* The rate with which a clock that shows `shown` reaches the host's, which shows `host` and runs at
 * `rate`, within SLEW_NS; not more than SLEW_PPM from it, so that it never goes backwards. */
static uint64_t slew(uint64_t shown, uint64_t host, uint64_t rate)
{
	__int128 error = (int64_t)(host - shown), limit = (__int128)rate * SLEW_PPM / 1000000;
	__int128 delta = (__int128)rate * error / (__int128)SLEW_NS;

	delta = delta > limit ? limit : delta < -limit ? -limit : delta;
	return (uint64_t)((__int128)rate + delta);
}

/* What a clock is to show at the new base: what it shows now, unless it lags by far. */
static uint64_t continue_from(uint64_t shown, uint64_t host)
{
	return (int64_t)(host - shown) > JUMP_NS ? host : shown;
}

static uint64_t fit_offset(uint64_t old, uint64_t new)
{
	int64_t diff = (int64_t)(new - old);

	return diff > OFFSET_NOISE || diff < -OFFSET_NOISE ? new : old;
}

/* The host's rates since the last sample. */
static void measure_rates(const struct sample *s)
{
	uint64_t ticks = s->tsc - vdso.last.tsc;

	if (s->tsc <= vdso.last.tsc || s->mono - vdso.last.mono < RATE_MIN_NS)
		return;
	vdso.mono_rate =
		(uint64_t)(((unsigned __int128)(s->mono - vdso.last.mono) << 32) / ticks);
	vdso.raw_rate = (uint64_t)(((unsigned __int128)(s->raw - vdso.last.raw) << 32) / ticks);
}

/* What a clock of the old set shows at tsc, rounded to the nearest nanosecond: never less than readers
 * saw, and without losing half a nanosecond at every update. */
static uint64_t shown_at(const struct vdso_set *old, uint64_t tsc, uint64_t base, uint64_t mult)
{
	uint64_t ticks = tsc > old->tsc_base ? tsc - old->tsc_base : 0;

	return base + (uint64_t)(((unsigned __int128)ticks * mult + (1ull << 31)) >> 32);
}

/* Publishes a set that goes on from the old one at this moment. */
static void publish(const struct sample *s)
{
	struct vdso_data *d = vdso.data;
	const struct vdso_set *old = &d->set[d->seq & 1];
	struct vdso_set *new = &d->set[(d->seq + 1) & 1];
	uint64_t shown, host;

	new->real_offset = fit_offset(old->real_offset, s->real - s->mono);
	new->boot_offset = fit_offset(old->boot_offset, s->boot - s->mono);
	new->tsc_base = vdso_tsc();
	host = s->mono + ticks_to_ns(new->tsc_base - s->tsc, vdso.mono_rate);
	shown = shown_at(old, new->tsc_base, old->mono_base, old->mono_mult);
	new->mono_base = continue_from(shown, host);
	new->mono_mult = slew(new->mono_base, host, vdso.mono_rate);
	host = s->raw + ticks_to_ns(new->tsc_base - s->tsc, vdso.raw_rate);
	shown = shown_at(old, new->tsc_base, old->raw_base, old->raw_mult);
	new->raw_base = continue_from(shown, host);
	new->raw_mult = slew(new->raw_base, host, vdso.raw_rate);
	__atomic_store_n(&d->seq, d->seq + 1, __ATOMIC_RELEASE);
}

void vdso_update(void)
{
	struct sample s;

	pthread_mutex_lock(&vdso.lock);
	if (vdso.data) {
		s = take_sample();
		measure_rates(&s);
		publish(&s);
		if (s.mono - vdso.last.mono >= RATE_MIN_NS)
			vdso.last = s;
	}
	pthread_mutex_unlock(&vdso.lock);
}

/* ---- set-up ---- */

static bool tsc_is_clock(struct platform *p, uint64_t *khz)
{
	return platform_tsc_shared(p, khz) && *khz > 1000;
}

static void first_set(uint64_t khz)
{
	struct vdso_data *d = vdso.data;
	struct timex tx = {.modes = 0};
	struct timespec res = {.tv_nsec = 4000000};
	struct sample *s = &vdso.last;

	vdso.raw_rate = (uint64_t)(((unsigned __int128)1000000 << 32) / khz);
	vdso.mono_rate = vdso.raw_rate;
	if (adjtimex(&tx) >= 0) /* freq: parts per million times 2^16 */
		vdso.mono_rate += (uint64_t)((__int128)vdso.raw_rate * tx.freq / 65536 / 1000000);
	*s = take_sample();
	clock_getres(CLOCK_MONOTONIC_COARSE, &res);
	d->coarse_ns = res.tv_nsec > 0 ? (uint64_t)res.tv_nsec : 4000000;
	d->set[0] = (struct vdso_set){
		.tsc_base = s->tsc,
		.mono_base = s->mono,
		.mono_mult = vdso.mono_rate,
		.raw_base = s->raw,
		.raw_mult = vdso.raw_rate,
		.real_offset = s->real - s->mono,
		.boot_offset = s->boot - s->mono,
	};
	d->seq = 0;
	__atomic_store_n(&d->usable, 1, __ATOMIC_RELEASE);
}

/* A shared object of n fresh pages; *host is their address. */
static struct mm_shm *make_object(const char *name, unsigned order, uint8_t **host)
{
	unsigned want = order;
	struct mm_shm *s = mm_shm_create(name, 0, 0, NULL, NULL);
	uint32_t page;

	if (!s || pgpool_alloc(&order, &page) < 0) {
		if (s)
			mm_shm_put(s);
		return NULL;
	}
	if (order != want || pagemap_reserve(&s->pages, 0, 1u << order) < 0) {
		pgpool_put(page, 1u << order);
		mm_shm_put(s);
		return NULL;
	}
	for (uint32_t i = 0; i < 1u << order; i++)
		pagemap_set(&s->pages, i, page + i);
	*host = pgpool_host((uint64_t)page << PGPOOL_SHIFT);
	return s;
}

int vdso_init(struct platform *p, struct sbx_err **e)
{
	size_t len = (size_t)(vdso_image_end - vdso_image);
	unsigned order = 0;
	uint8_t *data, *text;
	uint64_t khz;

	if (vdso.data || !tsc_is_clock(p, &khz))
		return 0;
	while ((PAGE_SIZE << order) < len)
		order++;
	vdso.vvar = make_object("[vvar]", 0, &data);
	vdso.text = make_object("[vdso]", order, &text);
	if (!vdso.vvar || !vdso.text) {
		vdso_exit();
		return sbx_err_set(e, "no memory for the vDSO");
	}
	memcpy(text, vdso_image, len);
	vdso.text_len = ALIGN_UP(len, PAGE_SIZE);
	vdso.data = (struct vdso_data *)(void *)data;
	first_set(khz);
	return 0;
}

void vdso_exit(void)
{
	if (vdso.vvar)
		mm_shm_put(vdso.vvar);
	if (vdso.text)
		mm_shm_put(vdso.text);
	vdso.vvar = vdso.text = NULL;
	vdso.data = NULL;
}

const struct vdso_data *vdso_page_data(void)
{
	return vdso.data;
}

/* ---- mapping ---- */

static int map_object(struct mm *mm, uint64_t at, uint64_t len, int prot, unsigned may,
		      struct mm_shm *obj)
{
	struct vma *v = vma_new(at, at + len, prot, VMA_SPECIAL | may, VMA_SHM);

	if (!v)
		return -ENOMEM;
	v->shm = mm_shm_get(obj);
	vma_link(mm, v);
	return mm_map_present(mm, v, v->start, v->end);
}

int vdso_map(struct mm *mm)
{
	uint64_t at;
	int ret;

	if (!vdso.data)
		return 0;
	pthread_mutex_lock(&mm->lock);
	at = mm_find_area(mm, PAGE_SIZE + vdso.text_len);
	ret = at ? map_object(mm, at, PAGE_SIZE, PROT_READ, VMA_MAYREAD, vdso.vvar) : -ENOMEM;
	if (!ret)
		ret = map_object(mm, at + PAGE_SIZE, vdso.text_len, PROT_READ | PROT_EXEC,
				 VMA_MAYREAD | VMA_MAYEXEC, vdso.text);
	if (!ret)
		mm->layout.vdso = at + PAGE_SIZE;
	pthread_mutex_unlock(&mm->lock);
	return ret;
}
