/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds the pages of one process and their nodes, and moves them.
 *
 * Sources: PAGEMAP_SCAN (Documentation/admin-guide/mm/pagemap.rst), move_pages(2). Each call of
 * move_pages makes every CPU drain its list of pages in flight, so there are few calls with many pages.
 */
#ifndef BEDE_PAGES_H
#define BEDE_PAGES_H

#include <stdbool.h>

#include "vmas.h"

#define BEDE_BATCH 2048 /* most pages in one call */

struct bede_pages {
	const char *cgroup; /* the container's cgroup path: processes outside of it are not touched */
	int pid;	    /* the process ... */
	int proc; /* ... and its open /proc/PID, which never stands for a later process with that pid */
	int pagemap;
	bool unshared_only; /* unshared_only of the range whose pages were found last */
	bool no_scan;	    /* the kernel has no PAGEMAP_SCAN (before 6.7) */
	size_t count;
	void *at[BEDE_BATCH];
	int node[BEDE_BATCH]; /* or a negative errno, for a page that cannot be moved */
	uint64_t size[BEDE_BATCH];
	int target[BEDE_BATCH];
};

/* cgroup must outlive pages. */
void bede_pages_open(struct bede_pages *pages, const char *cgroup);

/*
 * Find pages of range, from address *at on, and set *at to the address to continue from. Returns 0 or a
 * negative errno: -ESRCH: the process is gone.
 */
int bede_pages_find(struct bede_pages *pages, const struct bede_range *range, uint64_t *at);

/* Bytes of the found pages that are on nodes of mask. */
uint64_t bede_pages_on(const struct bede_pages *pages, uint64_t mask);

/*
 * Move those of the found pages that are on nodes of mask to node target: at most so many bytes, but at
 * least one page. Adds the moved bytes to *moved. Returns 0, or a negative errno if no page was moved:
 * -ENOMEM: target is full.
 */
int bede_pages_move(struct bede_pages *pages, uint64_t mask, int target, uint64_t most, uint64_t *moved);

/* Close the process; the next search opens it again. */
void bede_pages_close(struct bede_pages *pages);

#endif
