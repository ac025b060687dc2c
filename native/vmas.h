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
#define BEDE_MOST_RANGES 262144	  /* ... and ranges of one container: what is beyond them stays where it is */
#define BEDE_UNKNOWN_HEAT 1	  /* of what nobody has measured: neither cold nor hot */

/* A part of the address space of one process. */
struct bede_range {
	int pid;
	unsigned heat;	/* how often it was seen in use in one measurement */
	bool alone;	/* a file's: what other processes have mapped too may be others' */
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
 * Read all of it again, of the cgroup whose directory is dir and of those below it. Left out is
 * what its program has placed by a policy of its own (counted), huge pages of hugetlbfs, and
 * programs and libraries. Processes that end meanwhile are left out. stopped, or NULL, ends it early.
 * Returns 0 or a negative errno.
 */
int bede_vmas_read(struct bede_vmas *vmas, int dir, uint64_t local_mask, bool (*stopped)(void *context),
		   void *context);

void bede_vmas_free(struct bede_vmas *vmas);

/* Append one range. Returns 0 or -ENOMEM. */
int bede_ranges_add(struct bede_ranges *ranges, struct bede_range range);

/*
 * The ranges of one process by the texts of its maps and numa_maps. Returns 0 or -ENOMEM; what
 * cannot be read is left out.
 */
int bede_vmas_parse(struct bede_vmas *vmas, struct bede_process *process, uint64_t local_mask);

#endif
