/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Detects that a container does nothing, by two short reads instead of a whole turn.
 *
 * That is safe: growth past the bound meets the fence, which is an event, and NUMA balancing promotes only
 * pages that the container itself touches, which takes CPU time. A whole turn from time to time notices
 * pages that the kernel moves by itself, as from a node that is taken offline.
 */
#ifndef BEDE_IDLE_H
#define BEDE_IDLE_H

#include <stdbool.h>
#include <stdint.h>

struct bede_idle {
	uint64_t current;  /* memory.current in bytes at the last check ... */
	uint64_t usage_us; /* ... and the CPU time used until then */
	unsigned still;	   /* checks since one of these changed */
};

/*
 * Check again, by reading the open files memory.current (first) and cpu.stat. Without a cpu.stat (-1) a
 * container is never idle. Returns 0 or a negative errno.
 */
int bede_idle_look(struct bede_idle *idle, int memory_current, int cpu_stat);

/* Whether the container has been idle for long enough to skip a whole turn. */
bool bede_idle_is(const struct bede_idle *idle);

/* Whether it is time for a whole turn although the container is idle. */
bool bede_idle_is_due(const struct bede_idle *idle);

/* Microseconds until the next check, longer and longer up to two seconds. */
uint64_t bede_idle_wait(const struct bede_idle *idle);

#endif
