/* Marks what a system call runs through that neither ring 0 nor the host answers. */
#ifndef SBX_BASE_HOT_H
#define SBX_BASE_HOT_H

/* Linkers put hot functions side by side: each page of text less is a translation less to look up after
 * each change of the page table. For the definitions of functions. */
#define hot_path __attribute__((hot))

#endif
