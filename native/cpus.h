/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many processors the tasks of a cgroup can allocate on at once.
 *
 * Each of them may hold a batch of charges, and a page that it is still filling; on a big host
 * with small containers the host's number says nothing of that.
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
 * Two texts: a list such as "0-3,8", and a quota such as "200000 100000" or "max 100000". Each
 * gives a number of processors; 0 where it is no such text, UINT_MAX for no quota.
 *
 * The scheduler hands a quota out in slices of 5 ms, each to one processor
 * (kernel/sched/fair.c: sched_cfs_bandwidth_slice). At the beginning of a period that lets far
 * more of them run than the quota has on average: 200 ms of 100 are 40 slices.
 */
unsigned bede_cpus_listed(const char *text);
unsigned bede_cpus_by_quota(const char *text);

#endif
