/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory that several processes map: each one's page table tells only what that process used.
 */
#ifndef BEDE_SHARED_H
#define BEDE_SHARED_H

#include "ranges.h"

/* Mappings of one place that are looked at together; as many processes are measured. */
#define BEDE_MOST_SHARERS 32

/*
 * Where more of them have one place of an object, take the others for memory of their own: the time for all of this grows with
 * their number. The order of ranges is undefined afterwards.
 */
void bede_shared_limit(struct bede_ranges *ranges);

/*
 * Leave of what was measured only what lies in vmas, and make one part of those that several processes have of one place: with the
 * heat of being used by any of them, and the process that used it most. Both are sorted by process and address; afterwards
 * measured is by owner and place. Returns 0 or -ENOMEM.
 */
int bede_shared_merge(struct bede_ranges *measured, const struct bede_ranges *vmas);

#endif
