/* SPDX-License-Identifier: Apache-2.0 */
#include "cpus.h"

#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "kfile.h"
#include "units.h"

#define SLICE_US 5000	/* of a quota, which one CPU gets: see cpus.h */
#define DEEPEST 64	/* most cgroups on the way up to the root, more than any host has */
#define LONGEST 4096	/* most bytes of a file that are read */
#define MOST_CPUS 65536 /* more than any kernel supports */

static bool take_number(const char **text, unsigned long long *out)
{
	char *end;

	if (**text < '0' || **text > '9')
		return false;
	*out = strtoull(*text, &end, 10);
	*text = end;
	return true;
}

unsigned bede_cpus_listed(const char *text)
{
	unsigned long long count = 0, low, high;

	for (;; text++) {
		if (!take_number(&text, &low))
			return 0;
		high = low;
		if (*text == '-') {
			text++;
			if (!take_number(&text, &high))
				return 0;
		}
		if (high < low || high >= MOST_CPUS)
			return 0;
		count += high - low + 1;
		if (*text != ',')
			return *text && *text != '\n' ? 0 : (unsigned)minimum(count, MOST_CPUS);
	}
}

unsigned bede_cpus_by_quota(const char *text)
{
	unsigned long long quota;

	if (!strncmp(text, "max", 3))
		return UINT_MAX;
	if (!take_number(&text, &quota) || *text != ' ' || !quota)
		return 0;
	return (unsigned)minimum((quota - 1) / SLICE_US + 1, MOST_CPUS);
}

static unsigned number_in(int dir, const char *name, unsigned (*parse)(const char *text))
{
	BEDE_BUFFER buffer = { 0 };
	BEDE_FD fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	return fd < 0 || bede_read_most(fd, LONGEST, &buffer) ? 0 : parse(buffer.text);
}

unsigned bede_cpus(int dir)
{
	const long online = sysconf(_SC_NPROCESSORS_ONLN);
	unsigned own = 0, quota = UINT_MAX;
	BEDE_FD at = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	/* The directory above the root cgroup has no cgroup.controllers. */
	for (int level = 0; level < DEEPEST && at >= 0 && !faccessat(at, "cgroup.controllers", F_OK, 0);
	     level++) {
		unsigned most = number_in(at, "cpu.max", bede_cpus_by_quota);

		if (!own)
			own = number_in(at, "cpuset.cpus.effective", bede_cpus_listed);
		if (most)
			quota = (unsigned)minimum(quota, most);
		int above = openat(at, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		bede_close(&at);
		at = above;
	}
	if (!own)
		own = online > 0 ? (unsigned)online : 1;
	return (unsigned)minimum(own, quota);
}
