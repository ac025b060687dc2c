/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reports which pages the kernel finds accessed when it clears accessed bits on a thread's behalf.
 *
 * Two BPF programs of twenty instructions run at the end of ptep_test_and_clear_young and pmdp_test_and_clear_young
 * (arch/x86/mm/pgtable.c). They look at calls by one thread only, since another one may be demoting, for which the kernel
 * looks at accessed bits, too. They write the address of each page whose bit was set into an array that this process has mapped. They read no memory. Loading them takes CAP_BPF and CAP_PERFMON, using them
 * none. Sources: Documentation/bpf/instruction-set.rst, Documentation/bpf/map_array.rst, bpf(2).
 */
#ifndef BEDE_BPF_H
#define BEDE_BPF_H

#include <stdbool.h>
#include <stdint.h>

#define BEDE_BPF_MOST (1U << 18) /* most pages that are reported at a time: 1 GiB */
#define BEDE_BPF_HUGE 1ULL	 /* set in the address of a huge page */

/* Load the programs. Returns 0 or a negative errno; -ENOENT: this kernel has no such functions, or no type information. */
int bede_bpf_load(void);

/* Whether they are loaded. */
bool bede_bpf_is_loaded(void);

/*
 * Begin to report, at most BEDE_BPF_MOST pages until bede_bpf_rewind. The kernel goes over its list of all functions that can be
 * traced, several times. Returns 0 or a negative errno.
 */
int bede_bpf_attach(void);

/* The pages that were reported since the last rewind, in the order in which the kernel looked at them. */
const uint64_t *bede_bpf_pages(uint64_t *count);

/* Forget these, and report from now on what this thread has the kernel clear. */
void bede_bpf_rewind(void);

/* Report nothing more until the next rewind. */
void bede_bpf_hush(void);

/*
 * End that, unless others have attached, too: once for each time that bede_bpf_attach has succeeded. Returns
 * at once. As long as the kernel is still at it, up to seconds, bede_bpf_attach fails with -EBUSY.
 */
void bede_bpf_detach(void);

#endif
