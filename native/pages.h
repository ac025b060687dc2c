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
	bool unshared_only; /* unshared_only of the ranges whose pages these are */
	bool no_scan;	    /* the kernel has no PAGEMAP_SCAN (before 6.7) */
	size_t count;
	void *at[BEDE_BATCH];
	int node[BEDE_BATCH]; /* or a negative errno, for a page that cannot be moved */
	int target[BEDE_BATCH];
	uint64_t size[BEDE_BATCH];
	unsigned heat[BEDE_BATCH]; /* the range's */
	uint64_t key[BEDE_BATCH];  /* see recent.h */
};

/* cgroup must outlive pages. */
void bede_pages_open(struct bede_pages *pages, const char *cgroup);

/* Forget the pages. */
void bede_pages_clear(struct bede_pages *pages);

/* Whether range's pages can be added: to no pages at all, or to pages of the same process that may be moved alike. */
bool bede_pages_fit(const struct bede_pages *pages, const struct bede_range *range);

/*
 * Add pages of range, from address *at on, as long as there is space, and set *at to the address to continue from.
 * bede_pages_keep must follow. Returns 0 or a negative errno: -ESRCH: the process is gone.
 */
int bede_pages_add(struct bede_pages *pages, const struct bede_range *range, uint64_t *at);

/* Of the pages from index first on, forget those that are not on nodes of mask. Returns 0 or a negative errno. */
int bede_pages_keep(struct bede_pages *pages, size_t first, uint64_t mask);

/* Forget count pages, from index first on. */
void bede_pages_drop(struct bede_pages *pages, size_t first, size_t count);

uint64_t bede_pages_bytes(const struct bede_pages *pages);

/*
 * Move the first count pages to node target. No page is removed from the list; those that were moved have target as their node. Adds
 * the bytes that were moved to *moved. Returns 0, or a negative errno if no page was moved: -ENOMEM: target is full.
 */
int bede_pages_move(struct bede_pages *pages, size_t count, int target, uint64_t *moved);

/* How many of the first pages have at most so many bytes. */
size_t bede_pages_within(const struct bede_pages *pages, uint64_t bytes);

/* Close the process; the next search opens it again. */
void bede_pages_close(struct bede_pages *pages);

#endif
