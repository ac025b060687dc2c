/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Other limits that a container can reach: its own memory.max, the memory.high that its user has set, and
 * both limits of every cgroup above it (a pod, a slice). Near one of them the kernel must be able to swap
 * as it would without a bound. Demotion frees nothing there, so without swap the kernel would kill at
 * memory.max, and make tasks wait at memory.high.
 */
#ifndef BEDE_CEILINGS_H
#define BEDE_CEILINGS_H

#include <stdbool.h>
#include <stdint.h>

#define BEDE_CEILINGS_ABOVE 32 /* most cgroups above the container's whose limits are read */

struct bede_ceilings {
	int max; /* the container's own memory.max, or -1 */
	int count;
	struct {
		int max, high, current; /* open memory.max, memory.high, memory.current, or -1 */
		uint64_t lower;		/* the lower of its two limits, in bytes */
	} above[BEDE_CEILINGS_ABOVE];
	uint64_t looked_us; /* when the limits of the cgroups above were last read */
	bool any;	    /* a limit is set, near or not */
	bool shared;	    /* a cgroup above has a limit, which other cgroups can use up */
};

/* Open the limits of the cgroup whose directory is cgroup_fd. A missing file counts as no limit. */
void bede_ceilings_open(struct bede_ceilings *ceilings, int cgroup_fd);

/*
 * Bytes by which usage may grow before a limit is near and the kernel must be able to swap. 0: one is near
 * now; UINT64_MAX: there is no limit. usage is memory.current, user_high the user's own memory.high.
 */
uint64_t bede_ceilings_room(struct bede_ceilings *ceilings, uint64_t usage, uint64_t user_high,
			    uint64_t at_us);

void bede_ceilings_close(struct bede_ceilings *ceilings);

#endif
