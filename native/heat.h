/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How often parts of processes' memory are used, by the kernel's DAMON (sysfs, vaddr operations).
 *
 * DAMON has one user at a time: the containers of an agent are measured one after the other, and
 * nothing is measured while another program uses it. Source: Documentation/admin-guide/mm/damon/usage.rst.
 */
#ifndef BEDE_HEAT_H
#define BEDE_HEAT_H

#include <stdatomic.h>

#include "vmas.h"

#define BEDE_HEAT_TARGETS 32 /* processes that are measured at once */

/*
 * Measure count processes for 0.6 s. *wanted false ends it early. The ranges are
 * by process in the order given, addresses ascending; heat is 0 to 25, in so many looks. Returns 0 or a
 * negative errno: -EBUSY where DAMON is in use, -ENOENT where this kernel has none, -EINTR ended early.
 */
int bede_heat_measure(const int *pids, size_t count, atomic_int *wanted, struct bede_ranges *out);

#endif
