/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The VMAs (virtual memory areas) of a container's processes, and which of them the mover may move.
 *
 * Sources: cgroup.procs, /proc/PID/maps, /proc/PID/numa_maps (Documentation/filesystems/proc.rst).
 */
#ifndef BEDE_VMAS_H
#define BEDE_VMAS_H

#include <stdbool.h>

#include "kfile.h"
#include "ranges.h"

#define BEDE_MOST_TEXT (32 << 20) /* most bytes of a process's maps that are read */

struct bede_process {
	int pid;
	uint64_t bytes; /* bytes that are mapped and in memory */
	uint64_t
		span; /* bytes from the first VMA to the last one, without the two largest gaps, as DAMON sees it */
};

struct bede_vmas {
	/* Bede's policy is that which NUMA balancing leaves alone, not that which steers. */
	bool kept_out;
	struct bede_ranges ranges; /* ranges that may be moved: process by process, addresses ascending */
	struct bede_process *processes;
	size_t count;
	size_t size;
	uint64_t program_bound; /* bytes of program-bound memory on local nodes */
	uint64_t memory;	/* bytes in memory in all ranges; what processes share counts about once */
	struct bede_buffer maps;
	struct bede_buffer numa;
};

/*
 * Read the VMAs of all processes again, in the cgroup whose directory is dir and in those below it. Left
 * out are program-bound memory (which is counted), huge pages of hugetlbfs, programs and libraries, and
 * processes that end meanwhile. If stopped is not NULL and returns true, reading ends early. Returns 0 or a
 * negative errno.
 */
int bede_vmas_read(struct bede_vmas *vmas, int dir, uint64_t local_mask, bool (*stopped)(void *context),
		   void *context);

void bede_vmas_free(struct bede_vmas *vmas);

/*
 * Add the ranges of one process from the texts maps and numa (numa_maps) of vmas. Malformed lines are left
 * out. Returns 0 or -ENOMEM.
 */
int bede_vmas_parse(struct bede_vmas *vmas, struct bede_process *process, uint64_t local_mask);

#endif
