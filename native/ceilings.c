/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "ceilings.h"

#include <fcntl.h>

#include "kfile.h"
#include "units.h"

/* A limit is near when this many bytes are left of it, or a sixteenth of it if that is more. */
#define NEAR (16 * 1024 * 1024ULL)
#define EACH_US 100000 /* between two reads of the limits of cgroups above, which rarely change */

void bede_ceilings_open(struct bede_ceilings *ceilings, int cgroup_fd)
{
	const int flags = O_RDONLY | O_CLOEXEC | O_NOFOLLOW;
	int dir = openat(cgroup_fd, ".", flags | O_DIRECTORY);

	*ceilings = (struct bede_ceilings){ .max = openat(cgroup_fd, "memory.max", flags) };
	while (dir >= 0 && ceilings->count < BEDE_CEILINGS_ABOVE) {
		int up = openat(dir, "..", flags | O_DIRECTORY);

		bede_close(&dir);
		dir = up;
		int max = dir < 0 ? -1 : openat(dir, "memory.max", flags);

		if (max < 0)
			break; /* the root cgroup has no limits */
		ceilings->above[ceilings->count].max = max;
		ceilings->above[ceilings->count].high = openat(dir, "memory.high", flags);
		ceilings->above[ceilings->count].current = openat(dir, "memory.current", flags);
		ceilings->above[ceilings->count++].lower = UINT64_MAX;
	}
	bede_close(&dir);
}

static uint64_t read_limit(int fd)
{
	uint64_t limit;

	return fd < 0 || bede_read_u64(fd, &limit) ? UINT64_MAX : limit;
}

static uint64_t room_below(uint64_t limit, uint64_t usage)
{
	uint64_t near = limit / 16 > NEAR ? limit / 16 : NEAR;

	if (limit == UINT64_MAX)
		return UINT64_MAX;
	return limit > near && usage < limit - near ? limit - near - usage : 0;
}

uint64_t bede_ceilings_room(struct bede_ceilings *ceilings, uint64_t usage, uint64_t user_high,
			    uint64_t at_us)
{
	uint64_t own = minimum(read_limit(ceilings->max), user_high);
	uint64_t room = room_below(own, usage);
	bool look = !ceilings->looked_us || at_us - ceilings->looked_us >= EACH_US;

	ceilings->shared = false;
	for (int i = 0; i < ceilings->count; i++) {
		uint64_t used;

		if (look)
			ceilings->above[i].lower = minimum(read_limit(ceilings->above[i].max),
							   read_limit(ceilings->above[i].high));
		if (ceilings->above[i].lower == UINT64_MAX)
			continue;
		ceilings->shared = true;
		if (ceilings->above[i].current >= 0 && !bede_read_u64(ceilings->above[i].current, &used))
			room = minimum(room, room_below(ceilings->above[i].lower, used));
	}
	ceilings->any = ceilings->shared || own != UINT64_MAX;
	if (look)
		ceilings->looked_us = at_us;
	return room;
}

void bede_ceilings_close(struct bede_ceilings *ceilings)
{
	bede_close(&ceilings->max);
	for (int i = 0; i < ceilings->count; i++) {
		bede_close(&ceilings->above[i].max);
		bede_close(&ceilings->above[i].high);
		bede_close(&ceilings->above[i].current);
	}
}
