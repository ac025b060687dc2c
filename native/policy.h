/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The policy by which a container's tasks are steered: MPOL_INTERLEAVE | MPOL_F_RELATIVE_NODES.
 *
 * Its nodes are relative to cpuset.mems, so a change of that file changes where the tasks allocate. Fork
 * and exec keep it. Sources: set_mempolicy(2), mm/mempolicy.c (mpol_rebind_nodemask), ptrace(2).
 */
#ifndef BEDE_POLICY_H
#define BEDE_POLICY_H

#include <stdint.h>

/* Give the policy to the calling thread. Returns 0 or a negative errno. */
int bede_policy_set(uint64_t mask);

/*
 * Give the policy, or for a mask of 0 the default one, to a thread of another process, which must be
 * waiting in a system call, and continues to wait there. Returns 0 or a negative errno: -EAGAIN: it did
 * not wait, -ENOSYS: not implemented for this architecture.
 */
int bede_policy_inject(int tid, uint64_t mask);

#endif
