/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control law, without any file: from what was measured to where the fence belongs, how
 * much is to be demoted from where, and when to look again.
 */
#ifndef BEDE_CONTROL_H
#define BEDE_CONTROL_H

#include "kfile.h"

struct bede_control {
	/* What is to be held. */
	uint64_t local_mask; /* bit n: node n is local */
	uint64_t far_mask;
	uint64_t bound;			     /* bytes over all local nodes */
	uint64_t node_bound[BEDE_MAX_NODES]; /* bytes, UINT64_MAX for none */
	unsigned cpus;			     /* that it allocates on at once: see cpus.h */

	/* What was seen last. */
	struct bede_numa numa;
	uint64_t at_us;
	uint64_t current; /* memory.current: read before numa, so that growth tightens the fence */
	uint64_t local;
	uint64_t far;
	uint64_t file;	 /* bytes of page cache, everywhere */
	uint64_t huge;	 /* bytes in huge pages, everywhere */
	uint64_t kernel; /* bytes of kernel memory; UINT64_MAX where that is not known */

	/* What follows from the past. */
	double rate;	       /* bytes a second by which the total or local grows; falls slowly */
	unsigned quiet;	       /* observations since anything moved */
	double turn_s;	       /* seconds between two observations; a running mean */
	double file_share;     /* of the growth, 0 to 1: page cache ... */
	double huge_share;     /* ... and huge pages */
	double promoted_share; /* of what local usage grows by: without any charge, so without a fence */
	double flight;	       /* bytes that are charged but on no list yet; a running mean */
	int settled;	       /* demotion has got going since the bound was last approached ... */
	uint64_t far_before;   /* ... when so much was far */
	int open;	       /* page cache meets no fence at the bound, so its softness is none */
};

/* Take in a measurement: control->numa and control->kernel are filled in already. */
void bede_control_observe(struct bede_control *control, uint64_t at_us, uint64_t current);

/* Bytes that may still be allocated locally before a bound is passed; 0 when one is. */
uint64_t bede_control_room(const struct bede_control *control);

/* Bytes above the low watermark, and the node that has to give them; 0 when none has. */
uint64_t bede_control_excess(const struct bede_control *control, int *node);

/*
 * Microseconds until a part of the room may be used up, between a millisecond and a tenth of a
 * second. Near the bound not long even while nothing grows: what NUMA balancing promotes passes
 * no fence. An idle container is left alone more and more.
 */
uint64_t bede_control_wait(const struct bede_control *control, uint64_t room);

#endif
