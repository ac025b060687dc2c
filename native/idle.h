/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds out that a container does nothing, by two short reads instead of a whole turn.
 *
 * That is safe: growth past the bound hits the fence, which is an event, and NUMA balancing
 * promotes only pages that the container itself touches, which takes processor time. Pages that
 * the kernel moves by itself, as from a node that is taken offline, are noticed by a whole turn
 * from time to time.
 */
#ifndef BEDE_IDLE_H
#define BEDE_IDLE_H

#include <stdbool.h>
#include <stdint.h>

struct bede_idle {
	uint64_t current;  /* memory.current in bytes at the last check ... */
	uint64_t usage_us; /* ... and the processor time used until then */
	unsigned still;	   /* checks since either has changed */
};

/*
 * Check again, by the open files memory.current (read first) and cpu.stat. Without a cpu.stat (-1)
 * a container is never idle. Returns 0 or a negative errno.
 */
int bede_idle_look(struct bede_idle *idle, int memory_current, int cpu_stat);

/* Whether the container has been idle for long enough to skip a whole turn. */
bool bede_idle_is(const struct bede_idle *idle);

/* Whether it is time for a whole turn although the container is idle. */
bool bede_idle_is_due(const struct bede_idle *idle);

/* Microseconds until the next check, longer and longer up to two seconds. */
uint64_t bede_idle_wait(const struct bede_idle *idle);

#endif
