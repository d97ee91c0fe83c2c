/* The old way of asking for interfaces: SIOCGIF*. */
#include <errno.h>
#include <linux/sockios.h>
#include <net/if_arp.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/ioctl.h>
#include "base/overflow.h"
#include "sentry/netif.h"
#include "sentry/task.h"

#define CONF_MAX 128 /* interfaces with an IPv4 address that SIOCGIFCONF tells */

/* The first IPv4 address of a link, or NULL. */
static const struct netif_addr *first_addr(int index)
{
	for (unsigned i = 0; i < netif.naddrs; i++)
		if (netif.addr[i].index == index && netif.addr[i].family == AF_INET)
			return &netif.addr[i];
	return NULL;
}

static void put_in4(struct sockaddr *sa, const uint8_t ip[4])
{
	struct sockaddr_in in = {.sin_family = AF_INET};

	memcpy(&in.sin_addr, ip, 4);
	memcpy(sa, &in, sizeof(in));
}

static int get_addr(const struct netif_link *l, unsigned cmd, struct sockaddr *sa)
{
	const struct netif_addr *a = first_addr(l->index);
	uint32_t mask;

	if (!a)
		return -EADDRNOTAVAIL;
	if (cmd == SIOCGIFNETMASK) {
		mask = a->prefix ? htonl(UINT32_MAX << (32 - a->prefix)) : 0;
		put_in4(sa, (const uint8_t *)&mask);
	} else if (cmd == SIOCGIFBRDADDR) {
		put_in4(sa, a->brd);
	} else {
		put_in4(sa, a->addr);
	}
	return 0;
}

static int answer(const struct netif_link *l, unsigned cmd, struct ifreq *r)
{
	switch (cmd) {
	case SIOCGIFFLAGS:
		r->ifr_flags = (short)l->flags;
		return 0;
	case SIOCGIFADDR:
	case SIOCGIFDSTADDR:
	case SIOCGIFBRDADDR:
	case SIOCGIFNETMASK:
		return get_addr(l, cmd, &r->ifr_addr);
	case SIOCGIFMETRIC:
		r->ifr_metric = 0;
		return 0;
	case SIOCGIFMTU:
		r->ifr_mtu = (int)l->mtu;
		return 0;
	case SIOCGIFHWADDR: /* the number is not told */
		memset(&r->ifr_hwaddr, 0, sizeof(r->ifr_hwaddr));
		r->ifr_hwaddr.sa_family = l->type;
		return 0;
	case SIOCGIFINDEX:
		r->ifr_ifindex = l->index;
		return 0;
	case SIOCGIFTXQLEN:
		r->ifr_qlen = (int)l->txqlen;
		return 0;
	case SIOCGIFMAP:
		memset(&r->ifr_map, 0, sizeof(r->ifr_map));
		return 0;
	case SIOCETHTOOL: /* as of an interface without a driver to ask */
	case SIOCGMIIPHY:
		return -EOPNOTSUPP;
	default:
		return -ENOTTY;
	}
}

static long get_name(struct task *t, struct gptr arg)
{
	const struct netif_link *l;
	struct ifreq r;

	if (gmem_read(t->proc->mm, &r, arg, sizeof(r)))
		return -EFAULT;
	l = netif_by_index(r.ifr_ifindex);
	if (!l)
		return -ENODEV;
	memcpy(r.ifr_name, l->name, sizeof(r.ifr_name));
	return gmem_write(t->proc->mm, arg, &r, sizeof(r));
}

static long get_conf(struct task *t, struct gptr arg)
{
	struct ifreq r[CONF_MAX] = {0};
	struct ifconf c;
	size_t n = 0;

	if (gmem_read(t->proc->mm, &c, arg, sizeof(c)))
		return -EFAULT;
	for (unsigned i = 0; i < netif.naddrs && n < CONF_MAX; i++) {
		const struct netif_link *l = netif_by_index(netif.addr[i].index);

		if (!l || netif.addr[i].family != AF_INET)
			continue;
		memcpy(r[n].ifr_name, l->name, sizeof(r[n].ifr_name));
		put_in4(&r[n++].ifr_addr, netif.addr[i].addr);
	}
	if (c.ifc_buf) {
		n = MIN(n, (size_t)MAX(c.ifc_len, 0) / sizeof(*r));
		if (gmem_write(t->proc->mm, gptr_at((uintptr_t)c.ifc_buf), r, n * sizeof(*r)))
			return -EFAULT;
	}
	c.ifc_len = (int)(n * sizeof(*r));
	return gmem_write(t->proc->mm, arg, &c, sizeof(c));
}

/* Commands with a struct ifreq that names an interface and would change it. */
static bool changes(unsigned cmd)
{
	switch (cmd) {
	case SIOCSIFFLAGS:
	case SIOCSIFADDR:
	case SIOCSIFDSTADDR:
	case SIOCSIFBRDADDR:
	case SIOCSIFNETMASK:
	case SIOCSIFMETRIC:
	case SIOCSIFMTU:
	case SIOCSIFHWADDR:
	case SIOCSIFNAME:
	case SIOCSIFTXQLEN:
	case SIOCADDRT:
	case SIOCDELRT:
		return true;
	default:
		return false;
	}
}

long netif_ioctl(struct task *t, unsigned cmd, struct gptr arg)
{
	const struct netif_link *l;
	struct ifreq r;
	int err;

	if (changes(cmd))
		return gmem_read(t->proc->mm, &r, arg, sizeof(r)) ? -EFAULT : -EPERM;
	if (cmd == SIOCGIFCONF)
		return get_conf(t, arg);
	if (cmd == SIOCGIFNAME)
		return get_name(t, arg);
	memset(&r, 0, sizeof(r));
	if (answer(&netif.link[0], cmd, &r) == -ENOTTY)
		return -ENOTTY;
	if (gmem_read(t->proc->mm, &r, arg, sizeof(r)))
		return -EFAULT;
	r.ifr_name[sizeof(r.ifr_name) - 1] = '\0';
	l = netif_by_name(r.ifr_name);
	if (!l)
		return -ENODEV;
	err = answer(l, cmd, &r);
	return err ? err : gmem_write(t->proc->mm, arg, &r, sizeof(r));
}
