/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Prevents swapping because of a bound: while the fence may make tasks reclaim, memory.swap.max is
 * kept at the current swap usage, so that this reclaim can demote but not swap.
 */
#ifndef BEDE_SWAPGUARD_H
#define BEDE_SWAPGUARD_H

#include <stdbool.h>

#include "kfile.h"

struct bede_swapguard {
	int limit;	     /* open memory.swap.max, or -1 if there is none */
	int current;	     /* open memory.swap.current, or -1 */
	uint64_t user_limit; /* the user's own memory.swap.max */
	uint64_t written;    /* the value that the guard wrote last */
	bool engaged;	     /* memory.swap.max is the guard's now */
};

/* Without the files (no swap in this kernel) the guard does nothing. */
void bede_swapguard_open(struct bede_swapguard *guard, int cgroup_fd, uint64_t user_limit);

/* Engage the guard, or put the user's limit back. */
void bede_swapguard_update(struct bede_swapguard *guard, bool wanted);

void bede_swapguard_close(struct bede_swapguard *guard);

#endif
