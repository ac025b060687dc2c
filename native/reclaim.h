/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Has the kernel demote page cache of a cgroup, coldest first, where there is no debugfs and so no lru_gen.
 *
 * memory.reclaim demotes what is on local nodes. But it goes over all nodes, takes from each in proportion to what it has, and
 * drops what is far (mm/vmscan.c: shrink_zones, should_abort_scan, which ends no cgroup's reclaim early). What is dropped
 * counts as reclaimed. So memory.stat tells what was demoted. Source: Documentation/admin-guide/cgroup-v2.rst.
 */
#ifndef BEDE_RECLAIM_H
#define BEDE_RECLAIM_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Reclaim so many bytes of page cache of the cgroup whose directory is dir. *demoted gets the bytes that the kernel
 * demoted meanwhile, for whatever reason. No anonymous memory is swapped; before Linux 6.11 it might be, so without swap_closed
 * nothing is reclaimed there. Returns 0 or a negative errno; -EAGAIN: there was less to be had.
 */
int bede_reclaim_cache(int dir, uint64_t bytes, bool swap_closed, uint64_t *demoted);

#endif
