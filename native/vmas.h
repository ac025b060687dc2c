/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The VMAs (virtual memory areas) of the processes of a container: which of them a mover may move.
 *
 * Sources: cgroup.procs, /proc/PID/maps, /proc/PID/numa_maps (Documentation/filesystems/proc.rst).
 */
#ifndef BEDE_VMAS_H
#define BEDE_VMAS_H

#include <stdbool.h>

#include "kfile.h"

#define BEDE_MOST_TEXT (32 << 20) /* bytes of one process' maps that are read ... */
#define BEDE_MOST_RANGES 262144	  /* ... and ranges of one container: further ones are not moved */
#define BEDE_UNKNOWN_HEAT 1	  /* of a range that was not measured: neither cold nor hot */

/* A part of the address space of one process. */
struct bede_range {
	int pid;
	unsigned heat;	/* how often it was seen in use in one measurement */
	bool alone;	/* a file's: do not move pages that other processes map, too; they may be others' */
	uint64_t nodes; /* bit n: some of it was on node n when it was read */
	uint64_t start;
	uint64_t end;
};

struct bede_ranges {
	struct bede_range *at;
	size_t count;
	size_t size;
};

struct bede_process {
	int pid;
	uint64_t bytes; /* mapped, and in memory */
};

struct bede_vmas {
	struct bede_ranges ranges; /* that may be moved, process by process, addresses ascending */
	struct bede_process *processes;
	size_t count;
	size_t size;
	uint64_t program_bound; /* bytes on local nodes of memory with a policy that is its program's own */
	struct bede_buffer maps;
	struct bede_buffer numa;
};

/*
 * Read the areas of all processes again, in the cgroup whose directory is dir and in those below it.
 * Left out are memory that its program has placed by its own policy (this is counted), huge pages of
 * hugetlbfs, programs and libraries, and processes that end meanwhile. *stopped (or NULL) ends it early.
 * Returns 0 or a negative errno.
 */
int bede_vmas_read(struct bede_vmas *vmas, int dir, uint64_t local_mask, bool (*stopped)(void *context),
		   void *context);

void bede_vmas_free(struct bede_vmas *vmas);

/* Append one range. Returns 0 or -ENOMEM. */
int bede_ranges_add(struct bede_ranges *ranges, struct bede_range range);

/*
 * Add the ranges of one process by the texts of its maps and numa_maps. Returns 0 or -ENOMEM;
 * malformed lines are left out.
 */
int bede_vmas_parse(struct bede_vmas *vmas, struct bede_process *process, uint64_t local_mask);

#endif
