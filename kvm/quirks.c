/* KVMs that shadow guest page tables go on using an entry that the host process cleared or changed,
 * until the host's own mapping of the page behind it changes: KVM listens to that (MMU notifier)
 * and drops its translations of the page. So after narrowing entries we touch the host mapping in a
 * way that keeps contents and access rights. */
#include <sys/mman.h>
#include "kvm/kvm.h"

#define ZAP_PAGES_MAX 4096 /* beyond this, forgetting everything is cheaper */

void kvm_zap_add(struct zap_list *z, uint64_t off)
{
	struct zap_run *last = z->n ? &z->run[z->n - 1] : NULL;

	if (z->all)
		return;
	if (last && last->off + last->len == off) {
		last->len += PAGE;
	} else if (last && off + PAGE == last->off) {
		last->off = off;
		last->len += PAGE;
	} else if (z->n < sizeof(z->run) / sizeof(z->run[0])) {
		z->run[z->n].off = off;
		z->run[z->n++].len = PAGE;
		return;
	} else {
		z->all = true;
		return;
	}
	if (last->len > ZAP_PAGES_MAX * PAGE)
		z->all = true;
}

/* Changing a protection and changing it back makes the notifier run. PROT_EXEC is the bit that
 * nobody in this process misses; where the file may not have it, access is lost for a moment. */
static void flip(void *a, uint64_t len, int prot)
{
	if (mprotect(a, len, prot | PROT_EXEC) < 0)
		mprotect(a, len, PROT_NONE);
	if (mprotect(a, len, prot) < 0)
		mprotect(a, len, PROT_READ); /* a file that may not be written after all */
}

static void zap_pages(struct platform *p, uint64_t off, uint64_t len)
{
	void *a = p->window + off;

	switch (p->window_kind[off / PAGE]) {
	case PLATFORM_BACKING_SHARED:
		madvise(a, len, MADV_DONTNEED); /* contents live in the file */
		break;
	case PLATFORM_BACKING_PRIVATE_RO:
		flip(a, len, PROT_READ);
		break;
	default:
		flip(a, len, PROT_READ | PROT_WRITE);
		break;
	}
}

/* Deleting any slot makes KVM drop all its shadow pages. */
void kvm_zap_everything(struct platform *p)
{
	pthread_mutex_lock(&p->slot_lock);
	kvm_slot_set(p, p->dummy_slot, DUMMY_GPA, 0, p->dummy);
	kvm_slot_set(p, p->dummy_slot, DUMMY_GPA, PAGE, p->dummy);
	pthread_mutex_unlock(&p->slot_lock);
}

void kvm_zap(struct platform *p, const struct zap_list *z)
{
	unsigned i;

	if (z->all) {
		kvm_zap_everything(p);
		return;
	}
	for (i = 0; i < z->n; i++) {
		uint64_t off = z->run[i].off, end = off + z->run[i].len, next;

		for (; off < end; off = next) {
			uint8_t kind = p->window_kind[off / PAGE];

			for (next = off + PAGE; next < end; next += PAGE)
				if (p->window_kind[next / PAGE] != kind)
					break;
			zap_pages(p, off, next - off);
		}
	}
}
