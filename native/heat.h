/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Measures which parts of processes' memory are in use: in how many of some windows of time each of them was used.
 *
 * A source of heat is a file with a struct bede_heat_source, which heat.c lists, the best one first.
 */
#ifndef BEDE_HEAT_H
#define BEDE_HEAT_H

#include <stdatomic.h>
#include <stdbool.h>

#include "vmas.h"

#define BEDE_HEAT_TARGETS 32 /* most processes that are measured at once */

struct bede_heat_ask {
	const struct bede_process *processes; /* pid and span are read */
	size_t count;			      /* at most BEDE_HEAT_TARGETS */
	int dir;			      /* the directory of their cgroup */
	uint64_t bound;			      /* bytes that may be local */
	uint64_t window_us;
	unsigned windows;   /* one after the other */
	bool huge;	    /* most of the memory is in huge pages: smaller parts of it tell nothing more */
	bool soon;	    /* it shall take no longer than these windows */
	atomic_int *wanted; /* set to 0, it ends the measurement early */
	/*
	 * Whether what was prepared for this asker's last measurement is kept for the next one. False before the first one; set by
	 * the source. See bede_heat_let_go.
	 */
	bool *kept;
	/* Called every some 10 ms while DAMON looks, for what measures at the same time; NULL: nothing does. */
	void (*meanwhile)(void *context);
	void *context;
};

struct bede_heat {
	/*
	 * What was measured, in any order. A range's heat is 0 to BEDE_HEAT_ALWAYS: the part of the windows in which it
	 * was in use.
	 */
	struct bede_ranges ranges;
	uint64_t used_us; /* CPU time that the kernel spent on it, in threads of its own and in interrupts */
	bool by_page;	  /* each range with heat has only pages that its process used */
	bool sampled; /* samples have raised the heat of some ranges: it cannot be compared with what was measured without */
	double seen; /* then: bytes that were in use in a window, in the mean, as known without samples */
};

struct bede_heat_source {
	/*
	 * Add what was measured to out. Returns 0 or a negative errno: -EBUSY: somebody uses the source, try again
	 * later; -ENOENT: this kernel does not have it; -EINTR: it was ended early.
	 */
	int (*measure)(const struct bede_heat_ask *ask, struct bede_heat *out);
	void (*let_go)(void); /* give up what was kept for one asker; NULL: nothing is */
	void (*close)(void);  /* give back what is kept for all of them; NULL: nothing is */
};

extern const struct bede_heat_source bede_accessed, bede_sampled, bede_damon;

/* Whether DAMON would look at each page of these processes, not at one page of each larger part. */
bool bede_damon_sees_all(const struct bede_heat_ask *ask);

/*
 * Do what takes capabilities that measuring does not, and find out what else there is. Returns 0 or a negative errno: then the best
 * source is left out.
 */
int bede_heat_prepare(void);

/* Whether measuring will take CAP_PERFMON, as sampled.c does. Known after bede_heat_prepare. */
bool bede_heat_takes_perfmon(void);

/* Measure by the best source that this kernel has. Returns as that source's measure does. */
int bede_heat_measure(const struct bede_heat_ask *ask, struct bede_heat *out);

/*
 * Give up what is kept for an asker, since its next measurement does not come soon. Preparing takes some milliseconds of every
 * CPU; but while it is kept, the kernel's own looks at accessed bits take some nanoseconds longer.
 */
void bede_heat_let_go(bool *kept);

/* A mover begins, or ends: with the last one's end, all sources are closed. */
void bede_heat_begin(void);
void bede_heat_end(void);

/*
 * All containers together may measure as much as one for each of the host's CPUs: after a measurement that allows another one in
 * pause_us, microseconds until there is leave for that.
 */
uint64_t bede_heat_reserve(uint64_t pause_us);

#endif
