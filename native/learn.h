/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Learns which parts of a container's memory are hot, measurement by measurement: how long the windows should be, how
 * many it takes, and when what was learned does not hold any more.
 */
#ifndef BEDE_LEARN_H
#define BEDE_LEARN_H

#include "forecast.h"
#include "heat.h"
#include "search.h"

/* What one container's measurements have told so far. */
struct bede_learn {
	uint64_t window_us; /* the length of the next windows */
	uint64_t scored_us; /* the length of the last ones that scores are averages of; all are like it */
	uint64_t bound;	    /* that was in force when they began */
	unsigned learned;   /* the number of these windows, at most most */
	/* BEDE_SCORES_LEAST to BEDE_SCORES_MOST. More windows tell more, unless too much has changed since. */
	unsigned most;
	double chance; /* the part of one throw's variance that is left in the scores: 1 / learned, less for a running mean */
	double drift;		       /* how much has changed: the mean of the last few of forecast.h, ... */
	double doubt;		       /* ... and the variance of one of these by chance */
	uint64_t age_us;	       /* how old these windows are in the mean, ... */
	uint64_t at_us;		       /* ... at the last measurement */
	struct bede_forecast forecast; /* what is to be expected of memory with each score */
	uint64_t memory;	       /* bytes that were in memory at the last measurement */
	bool fits;	  /* the last windows had about the right length, so the next ones will */
	bool ready;	  /* the scores tell what to exchange */
	bool sampled;	  /* the scores are of measurements with samples */
	unsigned unfit;	  /* measurements in a row whose windows had a wrong length */
	unsigned without; /* measurements without samples since the last one with them */
	unsigned windows; /* of the last measurement */
	bool looked;	  /* nothing was learned from it: it was a look, or no good, ... */
	bool doubts;	  /* ... or there may be something new: the next one has all windows */
	bool looks;	  /* set by the caller: the next one is a look */
	bool settled;	  /* set by the caller: nearly nothing was left to exchange */
};

#define BEDE_LOOK_WINDOWS 2 /* of a look for what has changed, from which nothing else is learned */

struct bede_learn_ask {
	uint64_t bound;	    /* bytes */
	bool huge;	    /* most memory is in huge pages */
	bool soon;	    /* somebody waits for it */
	atomic_int *wanted; /* set to 0, it ends the measurement early */
	bool *kept;	    /* see struct bede_heat_ask */
};

/* learn must be all zero. */
void bede_learn_open(struct bede_learn *learn);

/*
 * Measure heat and learn from it; the search's list is then in the order of the scores. *used_us gets the CPU time that
 * the kernel spent on it. Returns 0, or a negative errno as bede_heat_measure does.
 */
int bede_learn_measure(struct bede_learn *learn, struct bede_search *search, const struct bede_learn_ask *ask,
		       uint64_t *used_us);

#endif
