/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Measures how often each part of processes' memory is used, with the kernel's DAMON (sysfs, vaddr
 * operations).
 *
 * DAMON has one user at a time. So an agent measures its containers one after the other, and measures
 * nothing while another program uses DAMON. Source: Documentation/admin-guide/mm/damon/usage.rst.
 */
#ifndef BEDE_HEAT_H
#define BEDE_HEAT_H

#include <stdatomic.h>

#include "vmas.h"

#define BEDE_HEAT_TARGETS 32 /* most processes that are measured at once */

/*
 * Measure count processes for 0.6 s; *wanted set to 0 ends that early. out gets the ranges of each process,
 * in the order of pids, with ascending addresses. A range's heat is the number of samples, of 25, in which
 * it was in use. Returns 0 or a negative errno: -EBUSY: DAMON is in use, -ENOENT: this kernel has no DAMON,
 * -EINTR: it was ended early.
 */
int bede_heat_measure(const int *pids, size_t count, atomic_int *wanted, struct bede_ranges *out);

#endif
