/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control law, which uses no files: from measurements it computes where the fence belongs, how
 * much to demote from which node, and when to measure again.
 */
#ifndef BEDE_CONTROL_H
#define BEDE_CONTROL_H

#include "kfile.h"

struct bede_control {
	/* The bounds to hold. */
	uint64_t local_mask; /* bit n: node n is local */
	uint64_t far_mask;
	uint64_t bound;			     /* bytes over all local nodes */
	uint64_t node_bound[BEDE_MAX_NODES]; /* bytes, UINT64_MAX for none */
	unsigned cpus;			     /* on which its tasks can allocate at once: see cpus.h */

	/* The last measurement. */
	struct bede_numa numa;
	uint64_t at_us;
	uint64_t current; /* memory.current: read before numa, so that growth tightens the fence */
	uint64_t local;
	uint64_t far;
	uint64_t file;	 /* bytes of page cache, everywhere */
	uint64_t huge;	 /* bytes in huge pages, everywhere */
	uint64_t kernel; /* bytes of kernel memory; UINT64_MAX: unknown */

	/* Derived from earlier measurements. */
	double rate;	       /* bytes a second by which the total or local grows; falls slowly */
	unsigned quiet;	       /* observations since anything changed */
	double turn_s;	       /* seconds between two observations; a running mean */
	double file_share;     /* of the growth, 0 to 1: page cache ... */
	double huge_share;     /* ... and huge pages */
	double promoted_share; /* ... and promoted pages, which cause no charge and so pass no fence */
	double flight;	       /* bytes that are charged but on no list yet; a running mean */
	int settled;	       /* demotion has started since the bound was last approached ... */
	uint64_t far_before;   /* ... and far usage at that time */
	int open;	       /* page cache meets no fence at the bound, so it needs no margin for that */
};

/* Process a measurement; the caller has filled in control->numa and control->kernel. */
void bede_control_observe(struct bede_control *control, uint64_t at_us, uint64_t current);

/* Bytes that may still be allocated locally before a bound is exceeded; 0 if one is. */
uint64_t bede_control_room(const struct bede_control *control);

/* Bytes above the low watermark, and the node to demote them from; 0 if there are none. */
uint64_t bede_control_excess(const struct bede_control *control, int *node);

/*
 * Microseconds until a part of the room may be used up, between a millisecond and a tenth of a
 * second. Near the bound it is short even while nothing grows, because pages that NUMA balancing
 * promotes pass no fence. For an idle container it becomes longer and longer.
 */
uint64_t bede_control_wait(const struct bede_control *control, uint64_t room);

#endif
