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
#define TRIAL_AGREE  3		     /* measurements in turn that must agree on the rate */
#define TRIAL_PPM    100	     /* to this */
#define TRIAL_MAX    20		     /* measurements, after which a trial has time */

extern const uint8_t vdso_image[], vdso_image_end[];

/* The host's clocks at one moment. */
struct sample {
	uint64_t tsc, mono, raw, real, boot;
	uint64_t width; /* of the reading of mono: ns that it may be off */
};

static struct {
	pthread_mutex_t lock;
	struct vdso_data *data; /* NULL: no vDSO */
	struct mm_shm *vvar, *text;
	uint64_t text_len;
	struct sample last;
	uint64_t mono_rate, raw_rate; /* the host's own, ns per tick times 2^32 */
	bool invariant;		      /* says the CPU */
	unsigned agreed, trials;
} vdso = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* ---- measuring ---- */

static uint64_t now(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * VDSO_NS + (uint64_t)ts.tv_nsec;
}

static uint64_t ticks_to_ns(uint64_t ticks, uint64_t rate)
{
	return (uint64_t)(((unsigned __int128)ticks * rate) >> 32);
}

/* Reads clock between two readings of the TSC; *tsc is their middle, *width the ticks between them. */
static uint64_t sample_clock(clockid_t clock, uint64_t *tsc, uint64_t *width)
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
	*width = best;
	return value;
}

/* All clocks, brought to the moment of the monotonic one. */
static struct sample take_sample(void)
{
	struct sample s;
	uint64_t tsc, width;

	s.mono = sample_clock(CLOCK_MONOTONIC, &s.tsc, &width);
	s.width = ticks_to_ns(width, vdso.mono_rate);
	s.raw = sample_clock(CLOCK_MONOTONIC_RAW, &tsc, &width);
	s.raw -= ticks_to_ns(tsc - s.tsc, vdso.raw_rate);
	s.real = sample_clock(CLOCK_REALTIME, &tsc, &width);
	s.real -= ticks_to_ns(tsc - s.tsc, vdso.mono_rate);
	s.boot = sample_clock(CLOCK_BOOTTIME, &tsc, &width);
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

/* What a clock is to show at the new base: what it shows now, unless it lags by far. One that nobody reads yet
 * begins so late that it is not behind the host's, as who reads it will have read that before. */
static uint64_t continue_from(uint64_t shown, uint64_t host, uint64_t width)
{
	if (!vdso.data->usable)
		return host + width;
	return (int64_t)(host - shown) > JUMP_NS ? host : shown;
}

static uint64_t fit_offset(uint64_t old, uint64_t new)
{
	int64_t diff = (int64_t)(new - old);

	return diff > OFFSET_NOISE || diff < -OFFSET_NOISE ? new : old;
}

/* Has the TSC run since the last sample as it did before that? */
static void judge_rate(uint64_t ticks, uint64_t ns, uint64_t slack)
{
	int64_t off = (int64_t)(ticks_to_ns(ticks, vdso.mono_rate) - ns);

	slack += ns / 1000000 * TRIAL_PPM;
	vdso.agreed = off <= (int64_t)slack && off >= -(int64_t)slack ? vdso.agreed + 1 : 0;
	vdso.trials++;
}

/* The host's rates since the last sample. */
static void measure_rates(const struct sample *s)
{
	uint64_t ticks = s->tsc - vdso.last.tsc;

	if (s->tsc <= vdso.last.tsc || s->mono - vdso.last.mono < RATE_MIN_NS)
		return;
	if (!vdso.invariant)
		judge_rate(ticks, s->mono - vdso.last.mono, s->width + vdso.last.width);
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
	new->mono_base = continue_from(shown, host, s->width);
	new->mono_mult = slew(new->mono_base, host, vdso.mono_rate);
	host = s->raw + ticks_to_ns(new->tsc_base - s->tsc, vdso.raw_rate);
	shown = shown_at(old, new->tsc_base, old->raw_base, old->raw_mult);
	new->raw_base = continue_from(shown, host, s->width);
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
		__atomic_store_n(&vdso.data->usable, vdso.invariant || vdso.agreed >= TRIAL_AGREE,
				 __ATOMIC_RELEASE);
	}
	pthread_mutex_unlock(&vdso.lock);
}

bool vdso_on_trial(void)
{
	return vdso.data && !vdso.data->usable && vdso.trials < TRIAL_MAX;
}

bool vdso_read(clockid_t clock, uint64_t *ns)
{
	return vdso.data && vdso_clock_ns(vdso.data, clock, ns);
}

uint64_t vdso_now(clockid_t clock)
{
	uint64_t ns;

	return vdso_read(clock, &ns) ? ns : now(clock);
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
	__atomic_store_n(&d->usable, vdso.invariant, __ATOMIC_RELEASE);
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
	vdso.invariant = platform_tsc_invariant(p);
	vdso.agreed = vdso.trials = 0;
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
