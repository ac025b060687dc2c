/* SPDX-License-Identifier: Apache-2.0 */
#include "idle.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "kfile.h"

#define ENOUGH 10	     /* checks without a change, a second or less in all, make a container idle */
#define FIRST_WAIT_US 100000 /* between two checks of an idle container; doubled each time ... */
#define MAX_WAIT_US 2000000  /* ... up to this */
#define LOOKS 4		     /* every so many checks of an idle container there is a whole turn */

/* The first line of cpu.stat, "usage_usec 1234". */
static int read_usage(int fd, uint64_t *out)
{
	static const char name[] = "usage_usec ";
	char text[64];
	ssize_t got = pread(fd, text, sizeof(text) - 1, 0);

	if (got < 0)
		return -errno;
	text[got] = '\0';
	if (strncmp(text, name, sizeof(name) - 1) != 0)
		return -EINVAL;
	*out = strtoull(text + sizeof(name) - 1, NULL, 10);
	return 0;
}

int bede_idle_look(struct bede_idle *idle, int memory_current, int cpu_stat)
{
	uint64_t current, usage_us = 0;
	int err = bede_read_u64(memory_current, &current);
	int unknown = cpu_stat < 0 || err ? -EINVAL : read_usage(cpu_stat, &usage_us);

	if (err || (unknown && unknown != -EINVAL))
		return err ? err : unknown;
	bool same = !unknown && current == idle->current && usage_us == idle->usage_us;

	idle->still = same ? idle->still + 1 : 0;
	idle->current = current;
	idle->usage_us = usage_us;
	return 0;
}

bool bede_idle_is(const struct bede_idle *idle)
{
	return idle->still >= ENOUGH;
}

bool bede_idle_is_due(const struct bede_idle *idle)
{
	return (idle->still - ENOUGH) % LOOKS == LOOKS - 1;
}

uint64_t bede_idle_wait(const struct bede_idle *idle)
{
	uint64_t wait = FIRST_WAIT_US;

	for (unsigned i = ENOUGH; i < idle->still && wait < MAX_WAIT_US; i++)
		wait *= 2;
	return wait < MAX_WAIT_US ? wait : MAX_WAIT_US;
}
