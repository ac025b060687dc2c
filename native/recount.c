/* SPDX-License-Identifier: Apache-2.0 */
#include "recount.h"

#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

#include "units.h"

/* Between two recounts while the sums agree: pages that move between nodes do not change them. */
#define MIN_PAUSE_US 20000
#define MAX_PAUSE_US 1000000

static uint64_t distance(uint64_t a, uint64_t b)
{
	return a < b ? b - a : a - b;
}

static uint64_t total(const uint64_t *bytes)
{
	uint64_t sum = 0;

	for (int node = 0; node < BEDE_MAX_NODES; node++)
		sum += bytes[node];
	return sum;
}

/* Whether there are cgroups below: only they make numa_stat late. False if that cannot be determined. */
static bool has_children(int stat)
{
	static const char name[] = "nr_descendants ";
	char text[256];
	ssize_t length = pread(stat, text, sizeof(text) - 1, 0);

	if (length <= 0)
		return false;
	text[length] = '\0';
	const char *found = strstr(text, name);

	return found && strncmp(found + strlen(name), "0\n", 2);
}

/* Bytes on each node: in its generations, and unevictable, which are in no generation. */
static void count(const struct bede_lru *lru, const struct bede_numa *numa, uint64_t *bytes)
{
	memcpy(bytes, numa->unevictable, sizeof(numa->unevictable));
	for (size_t i = 0; i < lru->count; i++)
		for (unsigned gen = 0; gen < lru->vec[i].gens; gen++)
			bytes[lru->vec[i].node] += lru->vec[i].pages[gen] * PAGE;
}

void bede_recount_open(struct bede_recount *recount, int dir, const char *lru_file, const char *lru_path)
{
	*recount = (struct bede_recount){ .lru = { .fd = -1, .path = lru_path },
					  .stat = -1,
					  .pause_us = MIN_PAUSE_US / 2 };
	struct stat status;

	if (!lru_file)
		return;
	recount->lru.fd = open(lru_file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (!fstat(dir, &status))
		recount->lru.inode = status.st_ino;
	recount->stat = openat(dir, "cgroup.stat", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
}

void bede_recount(struct bede_recount *recount, struct bede_numa *numa, uint64_t at_us, uint64_t current,
		  uint64_t kernel, uint64_t tolerated)
{
	uint64_t unlisted = kernel == UINT64_MAX ? 0 : kernel;
	uint64_t off = distance(total(numa->lru) + unlisted, current);
	bool agree = off <= recount->off + tolerated;

	recount->off = minimum(recount->off, off);
	if (recount->lru.fd < 0 || (agree && at_us < recount->next_us))
		return;
	recount->next_us = at_us + MIN_PAUSE_US;
	if (!has_children(recount->stat) || bede_lru_scan(&recount->lru))
		return;
	uint64_t bytes[BEDE_MAX_NODES], moved = 0;

	recount->count++;
	count(&recount->lru, numa, bytes);
	uint64_t still_off = distance(total(bytes) + unlisted, current);

	/* If the multi-generational LRU is off, all pages are on other lists: keep what numa_stat says. */
	if (still_off > off + tolerated) {
		recount->off = off;
		return;
	}
	for (int node = 0; node < BEDE_MAX_NODES; node++)
		moved += distance(bytes[node], numa->lru[node]);
	memcpy(numa->lru, bytes, sizeof(bytes));
	recount->off = still_off;
	recount->pause_us = moved > tolerated ? MIN_PAUSE_US : minimum(recount->pause_us * 2, MAX_PAUSE_US);
	recount->next_us = at_us + recount->pause_us;
}

void bede_recount_close(struct bede_recount *recount)
{
	bede_close(&recount->lru.fd);
	bede_close(&recount->stat);
	bede_lru_release(&recount->lru);
}
