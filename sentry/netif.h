/* Network interfaces, addresses and routes as the sandbox may know them: sentry/netif.c takes them from
 * the host once, at start; netlink.c, netif_ioctl.c and procfs_net.c tell them.
 *
 * What is told follows from the policy: the loopback interface always; an address of another interface
 * when the program may listen on it, or may send anywhere beyond the loopback in its family; an interface
 * with its told addresses; a route when its interface is told and the program may send in its family.
 * Hardware addresses, counters, neighbours and what is down are never told. */
#ifndef SBX_SENTRY_NETIF_H
#define SBX_SENTRY_NETIF_H

#include <stdbool.h>
#include <stdint.h>
#include <net/if.h>
#include "policy/eval.h"
#include "sentry/gmem.h"

struct sbx_err;
struct task;

#define NETIF_LINKS  64
#define NETIF_ADDRS  256
#define NETIF_ROUTES 256

struct netif_link {
	int index;
	uint32_t flags, mtu, txqlen;
	uint16_t type; /* ARPHRD_* */
	uint8_t operstate;
	char name[IFNAMSIZ];
};

struct netif_addr {
	uint8_t family; /* AF_INET or AF_INET6 */
	uint8_t prefix, scope;
	bool has_brd;
	uint32_t flags;
	int index;
	uint8_t addr[16], brd[4];
};

struct netif_route { /* of the main table */
	uint8_t family, dst_len, protocol, scope, type;
	bool has_gateway, has_prefsrc;
	uint32_t metric;
	int index;
	uint8_t dst[16], gateway[16], prefsrc[16];
};

struct netif {
	unsigned nlinks, naddrs, nroutes;
	struct netif_link link[NETIF_LINKS];
	struct netif_addr addr[NETIF_ADDRS];
	struct netif_route route[NETIF_ROUTES];
};
extern struct netif netif; /* constant once the program runs */

/* Reads the host's tables, as far as they may be told. Called before sbx gives up its rights; what cannot
 * be read is not told. */
void netif_init(const struct pol_image *img);

/* NULL: there is none. */
const struct netif_link *netif_by_index(int index);
const struct netif_link *netif_by_name(const char *name);

/* The route to addr (4 or 16 bytes), NULL: none. */
const struct netif_route *netif_route_to(uint8_t family, const uint8_t *addr);

/* SIOCGIF* on a socket. -ENOTTY for any other command. */
long netif_ioctl(struct task *t, unsigned cmd, struct gptr arg);

#endif
