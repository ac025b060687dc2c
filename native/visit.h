/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes CPUs forget translations of addresses, so that what is in use is seen to be.
 *
 * A CPU sets a page's accessed bit when it loads the page's translation, not with each access. The kernel clears accessed bits, and leaves
 * translations where they are. So as long as a CPU keeps its translations, what a process uses there looks unused. A CPU without
 * process-context identifiers forgets them when it begins to run another process. It may not do so for seconds where a process
 * has it for itself. So this thread runs on it for a moment. With such identifiers (PCID; not in Zen 1 and 2, nor in many virtual machines) a
 * visit would change nothing, and there is none. Sources: Intel's manual, volume 3, 4.10; arch/x86/mm/pgtable.c,
 * ptep_clear_flush_young; arch/x86/mm/tlb.c, switch_mm_irqs_off.
 */
#ifndef BEDE_VISIT_H
#define BEDE_VISIT_H

#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "vmas.h"

struct bede_visit {
	cpu_set_t all;	/* the CPUs to visit */
	cpu_set_t home; /* where this thread may run otherwise */
};

/* Whether CPUs forget translations when they begin to run another process. */
bool bede_visit_helps(void);

/* Find out where these processes may run. If that helps nothing, or is on too many CPUs, none will be visited. */
void bede_visit_open(struct bede_visit *visit, bool helps, const struct bede_process *processes,
		     size_t count);

/*
 * Visit all of these CPUs, but for the one on which this thread runs, which has forgotten already. A visit may have to wait for its turn:
 * wanted is set to 0 to end that early.
 */
void bede_visit_all(const struct bede_visit *visit, const atomic_int *wanted);

#endif
