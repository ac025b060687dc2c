/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Has the kernel demote page cache of a cgroup, coldest first, where there is no debugfs and so no lru_gen.
 *
 * memory.reclaim goes over the nodes from the nearest one of the caller's CPU on, and ends as soon as enough has been
 * reclaimed, which demotion from there counts as. So far page cache is dropped only if too little of the local one is old
 * (mm/vmscan.c: user_proactive_reclaim, shrink_zones, should_abort_scan; Documentation/admin-guide/cgroup-v2.rst).
 */
#ifndef BEDE_RECLAIM_H
#define BEDE_RECLAIM_H

#include <stdint.h>

/*
 * Reclaim so many bytes of page cache of the cgroup whose directory is dir. Anonymous memory is left alone, up to Linux 6.10
 * by the swap guard alone. Returns 0 or a negative errno; -EAGAIN: there was less to be had.
 */
int bede_reclaim_cache(int dir, uint64_t bytes);

#endif
