/* Memory slots: guest-physical ranges backed by host-virtual ones; and the window. */
#include <errno.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include "base/overflow.h"
#include "kvm/kvm.h"

void *kvm_reserve(size_t len, int prot)
{
	void *v = mmap(NULL, len, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return v == MAP_FAILED ? NULL : v;
}

int kvm_slot_set(struct platform *p, unsigned slot, uint64_t gpa, uint64_t len, void *host)
{
	struct kvm_userspace_memory_region r = {
		.slot = slot,
		.guest_phys_addr = gpa,
		.memory_size = len,
		.userspace_addr = (uintptr_t)host,
	};

	return ioctl(p->vm_fd, KVM_SET_USER_MEMORY_REGION, &r) < 0 ? -errno : 0;
}

int kvm_slot_add(struct platform *p, uint64_t gpa, uint64_t len, void *host, unsigned *slot)
{
	int r = -ENOMEM;

	pthread_mutex_lock(&p->slot_lock);
	if (p->next_slot < p->nr_slots)
		r = kvm_slot_set(p, p->next_slot, gpa, len, host);
	if (r == 0) {
		if (slot)
			*slot = p->next_slot;
		p->next_slot++;
	}
	pthread_mutex_unlock(&p->slot_lock);
	return r;
}

int kvm_slot_try_add(struct platform *p, uint64_t gpa, uint64_t len, void *host)
{
	int r = -ENOMEM;

	if (pthread_mutex_trylock(&p->slot_lock))
		return -EAGAIN;
	if (p->next_slot < p->nr_slots)
		r = kvm_slot_set(p, p->next_slot, gpa, len, host);
	if (r == 0)
		p->next_slot++;
	pthread_mutex_unlock(&p->slot_lock);
	return r;
}

void *platform_window(const struct platform *p, size_t *size)
{
	*size = p->window_size;
	return p->window;
}

static int commit_slot(struct platform *p, uint64_t i)
{
	uint64_t off = i * p->window_slot;
	int r = 0;

	pthread_mutex_lock(&p->slot_lock);
	if (!atomic_load(&p->committed[i])) {
		r = p->next_slot < p->nr_slots
			    ? kvm_slot_set(p, p->next_slot, window_gpa(off),
					   MIN(p->window_slot, p->window_size - off),
					   p->window + off)
			    : -ENOMEM;
		if (r == 0 && p->resident)
			kvm_sentry_window(p, off, MIN(p->window_slot, p->window_size - off));
		if (r == 0) {
			p->next_slot++;
			atomic_store(&p->committed[i], 1);
		}
	}
	pthread_mutex_unlock(&p->slot_lock);
	return r ? -ENOMEM : 0;
}

int platform_window_commit(struct platform *p, uint64_t off, uint64_t len)
{
	uint64_t i, end;

	if (add_overflow(off, len, &end) || end > p->window_size)
		return -ENOMEM;
	for (i = off / p->window_slot; i * p->window_slot < end; i++)
		if (!atomic_load_explicit(&p->committed[i], memory_order_acquire)) {
			int r = commit_slot(p, i);

			if (r < 0)
				return r;
		}
	return 0;
}

void platform_window_backing(struct platform *p, uint64_t off, uint64_t len,
			     enum platform_backing kind)
{
	uint64_t i, end;

	if (!p->facts.shadow || add_overflow(off, len, &end) || end > p->window_size)
		return;
	for (i = off / PAGE; i * PAGE < end; i++)
		p->window_kind[i] = kind;
}
