/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counts the pages on a cgroup's lists again if memory.numa_stat is out of date.
 *
 * Since 7.x reading numa_stat flushes a cgroup's statistics only if enough has changed in that cgroup. A
 * change in a cgroup below counts towards that only until the lower cgroup is due for a flush itself, and
 * nobody requests that one (mm/memcontrol.c: memcg_rstat_updated). So numa_stat of a container with child
 * cgroups may be seconds old. memory.current and lru_gen are always up to date, but lru_gen lists the
 * cgroups of the whole host. So it is read only if the sum in numa_stat differs from memory.current, and
 * from time to time.
 */
#ifndef BEDE_RECOUNT_H
#define BEDE_RECOUNT_H

#include "lru.h"

struct bede_recount {
	struct bede_lru lru; /* its fd is -1 if there is no lru_gen: then nothing is counted again */
	int stat;	     /* open cgroup.stat, which shows whether there are cgroups below */
	uint64_t off;	     /* bytes by which the lists and memory.current differ after a recount */
	uint64_t next_us;    /* when to count even if the sums agree ... */
	uint64_t pause_us;   /* ... and how long after that again */
	uint64_t count;	     /* times that lru_gen was read */
};

/* dir is the cgroup's directory; lru_path must outlive recount. A missing file means no recount. */
void bede_recount_open(struct bede_recount *recount, int dir, const char *lru_file, const char *lru_path);

/*
 * Correct numa->lru, which was read after current (memory.current, bytes). kernel is the bytes of kernel
 * memory, or UINT64_MAX if unknown; tolerated is how many bytes numa->lru may be wrong by.
 */
void bede_recount(struct bede_recount *recount, struct bede_numa *numa, uint64_t at_us, uint64_t current,
		  uint64_t kernel, uint64_t tolerated);

void bede_recount_close(struct bede_recount *recount);

#endif
