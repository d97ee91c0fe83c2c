/* The handler array, from the system call table. */
#include "sentry/systable.h"
#include "base/hot.h"

#include "sentry/sys.h"

#define PICK_EMULATE(name) sys_##name
#define PICK_NOSYS(name)   NULL

static sys_handler *const handlers[SYS_TABLE_SIZE] = {
#define SYS(nr, name, class, disp, args, tier0) [nr] = PICK_##disp(name),
#include "policy/syscalls.def"
#undef SYS
};

hot_path sys_handler *systable_handler(uint32_t nr)
{
	return nr < SYS_TABLE_SIZE ? handlers[nr] : NULL;
}
