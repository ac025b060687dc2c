/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Demotes a number of pages of one memory cgroup from one node, coldest first, with the multi-generational
 * LRU's debugfs file (mm/vmscan.c: lru_gen_seq_write).
 */
#ifndef BEDE_LRU_H
#define BEDE_LRU_H

#include "kfile.h"

#define BEDE_MAX_GENS 4

/* One cgroup's pages on one node, by generation, oldest first. */
struct bede_lruvec {
	uint64_t id; /* 0: the cgroup was removed, and takes no command */
	int node;
	unsigned gens; /* number of generations */
	uint64_t seq[BEDE_MAX_GENS];
	uint64_t pages[BEDE_MAX_GENS];
};

/* The lru_gen view of a cgroup and its descendants, as of the last scan. */
struct bede_lru {
	int fd;
	const char *path; /* from the cgroup root, as in the file */
	uint64_t inode;	  /* of the cgroup's directory: several cgroups may have this path */
	struct bede_buffer buffer;
	struct bede_lruvec *vec;
	size_t count;
	size_t size;
	int may_age; /* ageing is allowed: to one of a cgroup's threads only */
	uint64_t scanned_us;
	uint64_t reserve; /* pages that must be old enough in addition to those to be demoted now */
};

/* Read lru_gen again. Returns 0 or a negative errno; -ENOENT: the cgroup is not in it. */
int bede_lru_scan(struct bede_lru *lru);

/*
 * Ask the kernel to move pages from node to the next lower tier. Ages first if too few pages
 * are old enough and may_age is set. *asked is set to how many pages the kernel was told to move.
 * Returns 0 or a negative errno.
 */
int bede_lru_demote(struct bede_lru *lru, int node, uint64_t pages, uint64_t *asked);

/*
 * Make sure that about so many pages of node are old enough to be evicted, by ageing if needed, so that the
 * next demotion need not wait for ageing. Returns 0 or a negative errno.
 *
 * A task that reclaims at the fence must find old pages, too. If it finds none, the kernel raises the
 * priority of that reclaim step by step, and 6.12 then evicts a large part of the node at once, however
 * little is needed (mm/vmscan.c: should_abort_scan). Hence the reserve.
 */
int bede_lru_prepare(struct bede_lru *lru, int node, uint64_t pages);

/*
 * If the cgroup has no pages in old generations on that node, drop these generations and keep the two
 * youngest. What is demoted to the node later is then too young to be evicted, so a task that reclaims at
 * the fence leaves it alone. Failures are ignored.
 */
void bede_lru_shield(struct bede_lru *lru, int node);

void bede_lru_release(struct bede_lru *lru);

#endif
