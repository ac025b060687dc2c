/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The number of CPUs on which the tasks of a cgroup can allocate memory at once.
 *
 * Each of these CPUs may hold a batch of charges, and a page that a task is still filling. A small
 * container on a big host has far fewer of them than the host has CPUs.
 */
#ifndef BEDE_CPUS_H
#define BEDE_CPUS_H

#include <stddef.h>

/*
 * The number for the cgroup whose directory is dir: the CPUs of its cpuset (cpuset.cpus.effective of the
 * cgroup, or of the nearest one above that has the file), or fewer if the quotas (cpu.max) of the cgroup
 * and of all above it let fewer run at once. If no cpuset can be read, the host's online CPUs take its
 * place.
 */
unsigned bede_cpus(int dir);

/*
 * Parse a list such as "0-3,8", or a quota such as "200000 100000" or "max 100000", into a number of CPUs.
 * 0 if the text is malformed; UINT_MAX if there is no quota.
 *
 * The scheduler hands out a quota in slices of 5 ms, each to one CPU (kernel/sched/fair.c:
 * sched_cfs_bandwidth_slice). At the beginning of a period far more CPUs can therefore run than the quota
 * has on average: 200 ms in a period of 100 ms are 40 slices.
 */
unsigned bede_cpus_listed(const char *text);
unsigned bede_cpus_by_quota(const char *text);

#endif
