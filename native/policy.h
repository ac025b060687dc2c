/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memory policies of a container's tasks. A task keeps its policy over fork and exec. Sources:
 * set_mempolicy(2), mm/mempolicy.c, ptrace(2).
 *
 * BEDE_POLICY_RELATIVE, MPOL_INTERLEAVE | MPOL_F_RELATIVE_NODES, steers: its nodes are relative to
 * cpuset.mems, so a change of that file changes where the tasks allocate (mpol_rebind_nodemask).
 * BEDE_POLICY_LOCAL, MPOL_LOCAL, allocates like the default policy, but NUMA balancing leaves the task's
 * memory alone: it lacks MPOL_F_MOF (vma_policy_mof, which task_numa_work in kernel/sched/fair.c asks).
 */
#ifndef BEDE_POLICY_H
#define BEDE_POLICY_H

#include <stdint.h>

#define BEDE_POLICY_DEFAULT 0
#define BEDE_POLICY_LOCAL 4
#define BEDE_POLICY_RELATIVE (3 | 1 << 14)

/* Give a policy to the calling thread; mask is 0 for a policy without nodes. Returns 0 or a negative errno. */
int bede_policy_set(int mode, uint64_t mask);

/*
 * Give a policy to thread tid of another process; mask is 0 for a policy without nodes. The thread must be
 * waiting in a system call, and goes on waiting there. Returns 0 or a negative errno: -EAGAIN: the thread was
 * not waiting, -ENOSYS: not implemented for this architecture.
 */
int bede_policy_inject(int tid, int mode, uint64_t mask);

#endif
