/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds out that a container does nothing, by two short reads instead of a whole turn.
 *
 * What could take an idle container past its bound is seen otherwise: growth passes the fence,
 * which is an event, and NUMA balancing promotes only what the container itself touches, for
 * which it needs processor time. What the kernel moves by itself, as from a node that is taken
 * away, is seen by a whole turn now and then.
 */
#ifndef BEDE_IDLE_H
#define BEDE_IDLE_H

#include <stdbool.h>
#include <stdint.h>

struct bede_idle {
	uint64_t current;  /* memory.current in bytes when last looked at ... */
	uint64_t usage_us; /* ... and the processor time used until then */
	unsigned still;	   /* looks since either has changed */
};

/*
 * Look again: memory.current and cpu.stat are open files. Without a cpu.stat (-1) a container
 * is never idle. memory.current is read first. Returns 0 or a negative errno.
 */
int bede_idle_look(struct bede_idle *idle, int memory_current, int cpu_stat);

/* Whether all has been still for long enough to leave out what a turn does. */
bool bede_idle_is(const struct bede_idle *idle);

/* Whether it is time for a whole turn all the same. */
bool bede_idle_is_due(const struct bede_idle *idle);

/* Microseconds until the next look, longer and longer up to two seconds. */
uint64_t bede_idle_wait(const struct bede_idle *idle);

#endif
