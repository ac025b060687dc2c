/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The limits that others have set: the container's memory.max, its user's memory.high, and both of every
 * cgroup above it (a pod, a slice). Near one of them the kernel must be able to swap as without a bound,
 * since demotion frees nothing there: it would kill at memory.max, and make tasks wait at memory.high.
 */
#ifndef BEDE_CEILINGS_H
#define BEDE_CEILINGS_H

#include <stdbool.h>
#include <stdint.h>

#define BEDE_CEILINGS_ABOVE 32

struct bede_ceilings {
	int max; /* the container's own memory.max, or -1 */
	int count;
	struct {
		int max, high, current;
		uint64_t lower; /* of both limits */
	} above[BEDE_CEILINGS_ABOVE];
	uint64_t looked_us; /* when the limits above were last read */
	bool any;	    /* a limit is set, be it near or not ... */
	bool shared;	    /* ... on a cgroup above, which others can use up as well */
};

/* Open the limits of the cgroup whose directory is cgroup_fd. A file that cannot be opened sets no limit. */
void bede_ceilings_open(struct bede_ceilings *ceilings, int cgroup_fd);

/*
 * Bytes by which usage may grow until one of the limits is near, so that the kernel must be able to swap;
 * 0: now; UINT64_MAX: there is no limit. usage is memory.current, user_high the user's own memory.high.
 */
uint64_t bede_ceilings_room(struct bede_ceilings *ceilings, uint64_t usage, uint64_t user_high,
			    uint64_t at_us);

void bede_ceilings_close(struct bede_ceilings *ceilings);

#endif
