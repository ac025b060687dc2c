/* SPDX-License-Identifier: Apache-2.0 */
/*
 * On how many processors the tasks of a cgroup can allocate at once.
 *
 * Each of these may hold a batch of charges, and a page that a task is still filling. For a small
 * container on a big host that is far less than the host's number of processors.
 */
#ifndef BEDE_CPUS_H
#define BEDE_CPUS_H

#include <stddef.h>

/*
 * Of the cgroup whose directory is dir: those of its cpuset (cpuset.cpus.effective, its own or
 * of the nearest cgroup above that has one), as far as the quotas (cpu.max) of it and of all
 * above let them run together. The number of online processors if that cannot be determined.
 */
unsigned bede_cpus(int dir);

/*
 * Parse a list such as "0-3,8", and a quota such as "200000 100000" or "max 100000", into a
 * number of processors; 0 if the text is malformed, UINT_MAX for no quota.
 *
 * The scheduler hands a quota out in slices of 5 ms, each to one processor
 * (kernel/sched/fair.c: sched_cfs_bandwidth_slice). At the beginning of a period that lets far
 * more of them run than the quota has on average: 200 ms of 100 are 40 slices.
 */
unsigned bede_cpus_listed(const char *text);
unsigned bede_cpus_by_quota(const char *text);

#endif
