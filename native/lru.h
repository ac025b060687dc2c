/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Demotion of so many pages of one memory cgroup from one node, coldest first, by the
 * multi-generational LRU's debugfs file (mm/vmscan.c: lru_gen_seq_write).
 */
#ifndef BEDE_LRU_H
#define BEDE_LRU_H

#include "kfile.h"

#define BEDE_MAX_GENS 4

/* One cgroup's pages on one node, by generation, oldest first. */
struct bede_lruvec {
	uint64_t id; /* 0: it has been removed, and takes no command */
	int node;
	unsigned gens;
	uint64_t seq[BEDE_MAX_GENS];
	uint64_t pages[BEDE_MAX_GENS];
};

/* The lru_gen view of a cgroup and its descendants, as of the last scan. */
struct bede_lru {
	int fd;
	const char *path; /* as the file names it: from the cgroup root */
	uint64_t inode;	  /* of its directory: more than one of this path may be in the file */
	struct bede_buffer buffer;
	struct bede_lruvec *vec;
	size_t count;
	size_t size;
	int may_age; /* of several threads at one cgroup only one should */
	uint64_t scanned_us;
	uint64_t reserve; /* pages that shall be old enough beyond those that are wanted now */
};

/* Read the file again. Returns 0 or a negative errno; -ENOENT where the cgroup is not in it. */
int bede_lru_scan(struct bede_lru *lru);

/*
 * Ask the kernel to move pages from node to the next lower tier. Ages first where too few
 * pages are old enough and may_age is set. asked is how many pages the kernel was told to move.
 * Returns 0 or a negative errno.
 */
int bede_lru_demote(struct bede_lru *lru, int node, uint64_t pages, uint64_t *asked);

/*
 * A task that reclaims at the fence must find old pages too: where it finds none, the kernel
 * raises the priority of that reclaim step by step, and 6.12 then evicts a good part of the
 * node at once, whatever was asked for (mm/vmscan.c: should_abort_scan). Hence the reserve.
 *
 * See to it that about so many pages of node are old enough to be evicted, ageing if need be,
 * so that whoever has to demote first need not wait for that. Returns 0 or a negative errno.
 */
int bede_lru_prepare(struct bede_lru *lru, int node, uint64_t pages);

/*
 * If the cgroup has no pages on that node yet, drop all but its two youngest generations there. What is
 * demoted to the node later is then too young to be evicted, so a task that reclaims at the fence
 * leaves it alone. Best effort.
 */
void bede_lru_shield(struct bede_lru *lru, int node);

void bede_lru_release(struct bede_lru *lru);

#endif
