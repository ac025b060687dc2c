/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "swapguard.h"

#include <fcntl.h>

void bede_swapguard_open(struct bede_swapguard *guard, int cgroup_fd, uint64_t user_limit)
{
	const int flags = O_CLOEXEC | O_NOFOLLOW;

	guard->limit = openat(cgroup_fd, "memory.swap.max", O_RDWR | flags);
	guard->current = openat(cgroup_fd, "memory.swap.current", O_RDONLY | flags);
	guard->user_limit = user_limit;
	guard->engaged = false;
	/* An earlier agent may have left its guard's value in the file. */
	if (guard->limit >= 0)
		guard->engaged =
			!bede_read_u64(guard->limit, &guard->written) && guard->written != user_limit;
}

void bede_swapguard_update(struct bede_swapguard *guard, bool wanted)
{
	uint64_t limit, swapped;

	if (guard->limit < 0 || guard->current < 0 || bede_read_u64(guard->limit, &limit))
		return;
	/* A value that the guard did not write is the user's own. */
	if (!guard->engaged || limit != guard->written) {
		guard->user_limit = limit;
		guard->engaged = false;
	}
	if (!wanted) {
		if (guard->engaged && !bede_write_u64(guard->limit, guard->user_limit))
			guard->engaged = false;
		return;
	}
	if (bede_read_u64(guard->current, &swapped) || swapped >= guard->user_limit)
		return;
	swapped &= ~4095ULL;
	if ((guard->engaged && swapped == guard->written) || bede_write_u64(guard->limit, swapped))
		return;
	guard->written = swapped;
	guard->engaged = true;
}

void bede_swapguard_close(struct bede_swapguard *guard)
{
	bede_close(&guard->limit);
	bede_close(&guard->current);
}
