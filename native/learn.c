/* SPDX-License-Identifier: Apache-2.0 */
#include "learn.h"

#include <math.h>
#include <stdlib.h>

#include "order.h"
#include "scores.h"
#include "shared.h"
#include "units.h"

#define FIRST_WINDOW_US 5000
#define MOST_WINDOWS 10 /* of one measurement: one more tells little, and the list becomes old meanwhile */
/* A program grows if its memory is larger than last time by one of so many parts. */
#define GROWING_PARTS 16
#define DRIFT_MEASUREMENTS 8 /* so many are averaged: one alone may differ from others by chance */
#define SHORTER_PARTS 8	     /* an average that is too long becomes shorter by one of so many parts */
#define MOST_WITHOUT 5	     /* measurements without samples that are left out, as long as others have them */
#define MOST_UNFIT 5	 /* likewise, of windows that are too long or too short for what the load does now */
#define MOMENT_US 400000 /* a program may do one thing for so long, and another one then */
#define MEASURE_US 2000000	       /* the longest measurement */
#define LEAST_PROCESS (1024 * 1024ULL) /* bytes; heat of smaller processes is not measured */

void bede_learn_open(struct bede_learn *learn)
{
	learn->window_us = FIRST_WINDOW_US;
}

static int by_size(const void *left, const void *right)
{
	const struct bede_process *a = left, *b = right;

	return (a->bytes < b->bytes) - (a->bytes > b->bytes);
}

/*
 * How many windows to measure. As long as their length is not right, that is to be found out at the least price. And few
 * are enough where nothing new is expected: a change is noticed the sooner the less each look for it costs.
 */
static unsigned windows(const struct bede_learn *learn, bool few)
{
	uint64_t count = learn->fits && !few ? MEASURE_US / learn->window_us : BEDE_LOOK_WINDOWS;

	return (unsigned)(count > MOST_WINDOWS	    ? MOST_WINDOWS :
			  count < BEDE_LOOK_WINDOWS ? BEDE_LOOK_WINDOWS :
						      count);
}

/*
 * How long averages are. Two errors add up: that of chance, a part of a throw's variance, and that of what has changed since, which is
 * seen as drift. Averages become longer until both are alike: the sum is least about there, since one falls as the other rises.
 */
static void adapt(struct bede_learn *learn, struct bede_drift drift, unsigned windows)
{
	learn->drift += (drift.more - learn->drift) / DRIFT_MEASUREMENTS;
	learn->doubt += (drift.error * drift.error - learn->doubt) / DRIFT_MEASUREMENTS;
	/* Of a mean that changes by one part of n, the variance is 1 / (2n - 1) of the values'. */
	double error = sqrt(learn->doubt / (2 * DRIFT_MEASUREMENTS - 1));

	if (learn->drift - error < learn->chance)
		learn->most = (unsigned)minimum(learn->most + windows, BEDE_SCORES_MOST);
	else if (learn->most > BEDE_SCORES_LEAST)
		learn->most -=
			(unsigned)minimum(learn->most / SHORTER_PARTS + 1, learn->most - BEDE_SCORES_LEAST);
}

/* Begin anew: what was learned says nothing about the present. */
static void forget(struct bede_learn *learn, uint64_t bound)
{
	learn->learned = 0;
	learn->most = BEDE_SCORES_LEAST;
	learn->drift = learn->doubt = 0;
	learn->settled = false;
	learn->bound = bound;
}

/* Note that the scores are averages of so many windows more. */
static void count_windows(struct bede_learn *learn, unsigned windows)
{
	uint64_t now = now_us();
	double before = (double)minimum(learn->learned, learn->most), kept = before / (before + windows);

	learn->age_us = (uint64_t)((double)(learn->age_us + now - learn->at_us) * kept);
	learn->at_us = now;
	learn->chance = learn->chance * kept * kept + (1 - kept) * (1 - kept) / windows;
	learn->learned = (unsigned)minimum(learn->learned + windows, learn->most);
}

/* Whether the scores can be averaged with what is measured now, as soon as the windows are right again for what the load does. */
static bool are_known(const struct bede_learn *learn, const struct bede_search *search, bool sampled,
		      bool grows, uint64_t bound)
{
	/* For another bound other windows are right, and their scores say something else. */
	bool same = bound < learn->bound * 2 && learn->bound < bound * 2;

	return learn->learned >= BEDE_SCORES_LEAST && search->heat.count && learn->sampled == sampled &&
	       same && !grows;
}

/* Whether the scores still say something about the present. If so, see how much has changed. */
static bool follows(struct bede_learn *learn, const struct bede_search *search,
		    const struct bede_ranges *measured, unsigned windows)
{
	struct bede_comparison compared;

	bede_forecast_compare(&learn->forecast, &search->heat, measured, &compared);
	if (bede_forecast_has_failed(&compared, bede_scores_in_memory(measured, search->vmas.memory),
				     windows))
		return false;
	if (learn->learned >= BEDE_SCORES_LEAST && !learn->looks)
		adapt(learn, bede_forecast_drift(&learn->forecast, &compared, windows), windows);
	return true;
}

static double seen_in(const struct bede_heat *heat)
{
	return heat->sampled ? heat->seen : bede_scores_use(&heat->ranges) / BEDE_HEAT_ALWAYS;
}

/* Whether windows of that length have about the right one. */
static bool fit(uint64_t next_us, uint64_t window_us)
{
	return next_us < window_us * 2 && next_us > window_us / 2;
}

static bool has_grown(const struct bede_learn *learn, const struct bede_search *search)
{
	return search->vmas.memory > learn->memory + learn->memory / GROWING_PARTS;
}

/* See whether there is anything new, and learn nothing else. */
static void look(struct bede_learn *learn, const struct bede_search *search, const struct bede_heat *heat,
		 const struct bede_heat_ask *asked, uint64_t bound)
{
	uint64_t next_us = bede_scores_window(seen_in(heat), asked->window_us, bound);

	learn->doubts = !are_known(learn, search, heat->sampled, has_grown(learn, search), bound) ||
			!fit(next_us, asked->window_us) ||
			!follows(learn, search, &heat->ranges, asked->windows);
}

/*
 * Take in what was measured as asked. few: there were few windows, since nothing new was expected, and nobody waits for what they tell.
 */
static void take_in(struct bede_learn *learn, struct bede_search *search, struct bede_heat *heat,
		    const struct bede_heat_ask *asked, bool few, uint64_t bound)
{
	struct bede_ranges *measured = &heat->ranges;
	uint64_t next_us = bede_scores_window(seen_in(heat), asked->window_us, bound);
	bool grows = has_grown(learn, search);
	bool known = are_known(learn, search, heat->sampled, grows, bound);
	bool was_right = learn->fits; /* as far as one could know */

	learn->window_us = next_us;
	learn->fits = fit(next_us, asked->window_us);
	learn->unfit = learn->fits || !known ? 0 : learn->unfit + 1;
	/* If only the load does more, or less, than a moment ago, the scores tell more than windows of a wrong length. */
	learn->looked = learn->unfit && learn->unfit <= MOST_UNFIT;
	if (learn->looked)
		return;
	bool begins =
		known ? learn->unfit : !was_right || !search->heat.count || learn->sampled != heat->sampled;
	bool holds = !begins && learn->learned && follows(learn, search, measured, asked->windows);
	/* A load that does one thing after another does but one in a moment. */
	bool moment = asked->windows * asked->window_us < MOMENT_US && !asked->soon;
	bool doubts = !begins && learn->learned && !holds && moment;

	learn->looked = learn->doubts = doubts && few;
	if (learn->looked)
		return;
	/*
	 * What was learned counts as much then as what was measured now, until the next time: so of what is used in turns, all
	 * is known soon, and of what is not in use any more half is forgotten each time.
	 */
	unsigned most = holds ? learn->most : doubts ? asked->windows : 0;

	if (!holds)
		forget(learn, bound);
	learn->sampled = heat->sampled;
	/*
	 * What was in use in windows that are too short is less than the bound: all of it shall be local. But a program that
	 * is still filling its memory uses what it fills, once.
	 */
	learn->ready = was_right || (next_us > asked->window_us && !grows);
	learn->memory = search->vmas.memory;
	bede_scores_learn(&search->heat, measured, asked->windows, most, learn->memory);
	count_windows(learn, asked->windows);
	bede_forecast_make(&search->heat, learn->learned, learn->chance, learn->memory, &learn->forecast);
	search->forecast = &learn->forecast;
	learn->scored_us = asked->window_us;
}

/* Whether samples are missing only this time. Then the scores tell more than what was measured. */
static bool lacks_samples(struct bede_learn *learn, const struct bede_heat *heat)
{
	learn->without = heat->sampled ? 0 : learn->without + 1;
	return learn->sampled && learn->fits && learn->without && learn->without <= MOST_WITHOUT;
}

int bede_learn_measure(struct bede_learn *learn, struct bede_search *search, const struct bede_learn_ask *ask,
		       uint64_t *used_us)
{
	struct bede_vmas *vmas = &search->vmas;
	struct bede_heat heat = { 0 };

	learn->looks = learn->looks && learn->fits && !ask->soon;
	bool few = (learn->settled || learn->looks) && !learn->doubts;
	struct bede_heat_ask measure = { .processes = vmas->processes,
					 .dir = search->dir,
					 .bound = ask->bound,
					 .window_us = learn->window_us,
					 .windows = windows(learn, few),
					 .huge = ask->huge,
					 .soon = ask->soon || !learn->fits,
					 .wanted = ask->wanted,
					 .kept = ask->kept };

	qsort(vmas->processes, vmas->count, sizeof(*vmas->processes), by_size);
	while (measure.count < BEDE_HEAT_TARGETS && measure.count < vmas->count &&
	       vmas->processes[measure.count].bytes >= LEAST_PROCESS)
		measure.count++;
	int err = bede_heat_measure(&measure, &heat);

	learn->windows = measure.windows;
	learn->looked = true; /* nothing was learned unless something is */
	learn->doubts = false;
	*used_us = heat.used_us;
	if (!err) {
		bede_search_read(search);
		bede_order_by_address(&search->vmas.ranges);
		bede_order_by_address(&heat.ranges);
		if (!bede_shared_merge(&heat.ranges, &search->vmas.ranges) && !lacks_samples(learn, &heat)) {
			if (learn->looks)
				look(learn, search, &heat, &measure, ask->bound);
			else
				take_in(learn, search, &heat, &measure, few, ask->bound);
		}
		search->by_page = heat.by_page;
		search->heat_us = now_us();
		bede_search_sort(search);
		bede_search_rewind(search);
	}
	free(heat.ranges.at);
	return err;
}
