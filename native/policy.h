/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The policy by which a container's tasks are steered: MPOL_INTERLEAVE | MPOL_F_RELATIVE_NODES.
 *
 * Relative to what cpuset.mems allows, so changing that says where its tasks allocate. Inherited
 * over fork and exec. Sources: set_mempolicy(2), mm/mempolicy.c (mpol_rebind_nodemask), ptrace(2).
 */
#ifndef BEDE_POLICY_H
#define BEDE_POLICY_H

#include <stdint.h>

/* Give it to the calling thread. Returns 0 or a negative errno. */
int bede_policy_set(uint64_t mask);

/*
 * Give it, or for a mask of 0 the default policy, to a thread of another process, which must be
 * waiting in a system call, and goes on waiting there. Returns 0 or a negative errno: -EAGAIN where
 * it did not wait, -ENOSYS where this processor's calls are not known.
 */
int bede_policy_inject(int tid, uint64_t mask);

#endif
