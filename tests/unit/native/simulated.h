/* SPDX-License-Identifier: Apache-2.0 */
/* The simulated memory of exchange.c, and the kernel that moves and looks at it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MOST_PROCESSES = 4 };

/* Counts are of pages. */
struct memory {
	size_t pages, bound, local, highest;
	size_t huge; /* the pages before this one are in huge pages */
	size_t processes;
	bool shared;
	bool sampled;
	size_t others; /* pages that buffers take at times */
	bool *mapped;  /* of shared memory, for each process and page: it has used it */
	bool bursts, turns;
	double *rate; /* accesses a second */
	double *miss; /* those that no cache serves */
	unsigned char *node;
	bool *stuck, scanned;
};

extern struct memory memory;
extern uint64_t clock_ns, cpu_ns;    /* the clock, and CPU time so far */
extern uint64_t moved_pages, slower; /* pages moved so far; how many times as long everything takes */

/* A number from 0 to 1. */
double chance(void);

/* The kernel demotes so many local pages, at random. */
void demote_any(size_t count);
