/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pages of one process: which there are, on which node each is, and moving them.
 *
 * Sources: PAGEMAP_SCAN (Documentation/admin-guide/mm/pagemap.rst), move_pages(2). Each call of
 * move_pages has every CPU give up its list of pages in flight: so few calls of many pages.
 */
#ifndef BEDE_PAGES_H
#define BEDE_PAGES_H

#include <stdbool.h>

#include "vmas.h"

#define BEDE_BATCH 2048

struct bede_pages {
	const char *cgroup; /* the container's path: a process that is not at or below it is not touched */
	int pid;	    /* of whom these are: */
	int proc;	    /* /proc/PID, of no other process that gets the number later */
	int pagemap;
	bool alone;   /* what was found last: see bede_range */
	bool no_scan; /* a kernel before 6.7 */
	size_t count;
	void *at[BEDE_BATCH];
	int node[BEDE_BATCH]; /* or a negative errno, of what is none that can be moved */
	uint64_t size[BEDE_BATCH];
	int target[BEDE_BATCH];
};

/* cgroup must outlive this. */
void bede_pages_open(struct bede_pages *pages, const char *cgroup);

/*
 * Find pages of range from address *at on, which is then where to go on. Returns 0 or a negative
 * errno: -ESRCH where the process has gone.
 */
int bede_pages_find(struct bede_pages *pages, const struct bede_range *range, uint64_t *at);

/* Bytes of what was found that are on nodes of mask. */
uint64_t bede_pages_on(const struct bede_pages *pages, uint64_t mask);

/*
 * Move those on nodes of mask to node target, so many bytes at most, or one page. Adds to *moved
 * the bytes that were. Returns 0, or a negative errno where none can be moved: -ENOMEM where the
 * target is full.
 */
int bede_pages_move(struct bede_pages *pages, uint64_t mask, int target, uint64_t most, uint64_t *moved);

/* Let go of the process; the next search opens it anew. */
void bede_pages_close(struct bede_pages *pages);

#endif
