/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control law, which opens no files: from measurements it computes where the fence belongs, how much to
 * demote from which node, and when to measure again.
 */
#ifndef BEDE_CONTROL_H
#define BEDE_CONTROL_H

#include <stdbool.h>

#include "kfile.h"

struct bede_control {
	/* The bounds to hold. */
	uint64_t local_mask; /* bit n: node n is local */
	uint64_t far_mask;
	uint64_t bound;			     /* bytes over all local nodes */
	uint64_t node_bound[BEDE_MAX_NODES]; /* bytes, UINT64_MAX for none */
	unsigned cpus; /* number of CPUs on which its tasks can allocate at once: see cpus.h */

	/* The last measurement. */
	struct bede_numa numa;
	uint64_t at_us;
	uint64_t current; /* memory.current; read before numa, so growth in between lowers the fence */
	uint64_t local;
	uint64_t far;
	uint64_t file;	 /* bytes of page cache on all nodes */
	uint64_t huge;	 /* bytes in huge pages on all nodes */
	double cached;	 /* bytes of page cache that came lately, ... */
	double surged;	 /* ... and that came in one surge, as remembered for longer */
	uint64_t kernel; /* bytes of kernel memory; UINT64_MAX: unknown */

	/* Derived from earlier measurements. */
	double rate;	       /* growth of current or of local, bytes a second; falls slowly */
	double lately;	       /* growth of current in the last SURGE_S, in bytes */
	double surge;	       /* the most that lately was; falls within SURGE_HELD_S */
	unsigned quiet;	       /* observations since current or local changed */
	double turn_s;	       /* seconds between two observations; a running mean */
	double file_share;     /* share of page cache in the growth, 0 to 1 */
	double huge_share;     /* share of huge pages in the growth */
	double promoted_share; /* share of promoted pages, which no fence stops: they are charged already */
	double flight; /* bytes charged but not yet on an LRU list, without those that leave; a running mean */
	uint64_t leaving; /* bytes that demotion has taken off the lists, and moves now; set by the caller */
	int settled;	  /* demotion has begun since local usage was last below 3/4 of the bound */
	uint64_t far_before; /* far usage when local usage was last below 3/4 of the bound */
	int open;	     /* there is no fence, so page cache needs no margin for its softness */
	int ticketed;	     /* all that is promoted takes tickets (ticket.h), so it needs no margin */
};

/* Process a measurement; the caller has filled in control->numa and control->kernel. */
void bede_control_observe(struct bede_control *control, uint64_t at_us, uint64_t current);

/* Bytes that may still be allocated locally before a bound is exceeded; 0 if one is exceeded already. */
uint64_t bede_control_room(const struct bede_control *control);

/*
 * Bytes of local usage above the low watermark, 0 if there are none. *node is set to the node to demote
 * them from, -1 if no local node has pages.
 */
uint64_t bede_control_excess(const struct bede_control *control, int *node);

/*
 * Bytes that may be promoted without any being demoted for them: those below the low watermark. 0 where a node has a bound
 * of its own.
 */
uint64_t bede_control_spare(const struct bede_control *control);

/* Whether most of the memory is in huge pages. */
bool bede_control_is_huge(const struct bede_control *control);

/* Bytes of page cache on nodes, bit n: node n, that no process has mapped; more if shared memory is not mapped. */
uint64_t bede_control_cache(const struct bede_control *control, uint64_t nodes);

/*
 * Microseconds until the next measurement: until a quarter of the room may be used up, between a
 * millisecond and a tenth of a second. Near the bound it is short even while nothing grows, because no
 * fence stops pages that NUMA balancing promotes. For an idle container it becomes longer and longer.
 */
uint64_t bede_control_wait(const struct bede_control *control, uint64_t room);

#endif
