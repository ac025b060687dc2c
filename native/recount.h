/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counting a cgroup's pages on its lists where memory.numa_stat is behind of them.
 *
 * Since 7.x reading numa_stat brings a cgroup up to date only if enough has changed in that cgroup,
 * and changes in a cgroup below count for it only until that one has to be brought up to date
 * itself, which nobody asks for (mm/memcontrol.c: memcg_rstat_updated). So of a container with
 * cgroups of its own numa_stat may be seconds old. memory.current is not, and neither is
 * lru_gen, but that lists the cgroups of the whole host; so it is read where the sum of what
 * numa_stat tells is not what memory.current does, and now and then.
 */
#ifndef BEDE_RECOUNT_H
#define BEDE_RECOUNT_H

#include "lru.h"

struct bede_recount {
	struct bede_lru lru; /* fd -1: there is none, nothing is ever counted again */
	int stat;	     /* cgroup.stat, which tells whether there are cgroups below */
	uint64_t off;	     /* bytes that are charged and, counted again, still on no list */
	uint64_t next_us;    /* when to look even if the sums agree ... */
	uint64_t pause_us;   /* ... and how long after that again */
	uint64_t count;	     /* times that lru_gen was read */
};

/* dir is the cgroup's, lru_path must outlive this; no file is needed for it to work. */
void bede_recount_open(struct bede_recount *recount, int dir, const char *lru_file, const char *lru_path);

/*
 * Correct numa->lru, which was read after current (memory.current, bytes). kernel is bytes of
 * kernel memory, or UINT64_MAX; tolerated is by how many bytes it may be behind.
 */
void bede_recount(struct bede_recount *recount, struct bede_numa *numa, uint64_t at_us, uint64_t current,
		  uint64_t kernel, uint64_t tolerated);

void bede_recount_close(struct bede_recount *recount);

#endif
