/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The policy by which a container's tasks are steered: MPOL_INTERLEAVE | MPOL_F_RELATIVE_NODES.
 *
 * Its nodes are relative to cpuset.mems, so a change of that file changes where the tasks allocate. A task
 * keeps it over fork and exec. Sources: set_mempolicy(2), mm/mempolicy.c (mpol_rebind_nodemask), ptrace(2).
 */
#ifndef BEDE_POLICY_H
#define BEDE_POLICY_H

#include <stdint.h>

/* Give the policy to the calling thread. Returns 0 or a negative errno. */
int bede_policy_set(uint64_t mask);

/*
 * Give the policy, or for a mask of 0 the default policy, to thread tid of another process. The thread must
 * be waiting in a system call, and goes on waiting there. Returns 0 or a negative errno: -EAGAIN: the
 * thread was not waiting, -ENOSYS: not implemented for this architecture.
 */
int bede_policy_inject(int tid, uint64_t mask);

#endif
