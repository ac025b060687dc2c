/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory that several processes map: each one's page table tells only what that process used.
 */
#ifndef BEDE_SHARED_H
#define BEDE_SHARED_H

#include "ranges.h"

/*
 * Leave of what was measured only what lies in vmas, and make one part of those that several processes have of one place: with the
 * heat of being used by any of them, and the process that used it most. Both are sorted by process and address; afterwards
 * measured is by owner and place. Returns 0 or -ENOMEM.
 */
int bede_shared_merge(struct bede_ranges *measured, const struct bede_ranges *vmas);

#endif
