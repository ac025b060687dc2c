/* SPDX-License-Identifier: Apache-2.0 */
#include "scores.h"

#include "heat.h"
#include "units.h"

#define LEAST_US 1000 /* looking at the pages takes as long */
#define STEP 4	      /* most change of the length at a time */
/*
 * A part with a score of 50 or more is hot. If less than half of its lead over memory on the average is left, and the load does
 * as much as before, other pages are hot now. A lead of less than five points may be chance.
 */
#define HOT_SCORE 50
#define STILL_HOT 0.5
#define LEAST_HOTTER 5
/* Memory that is new counts as if it had been in use in so many windows as often as other memory: two or ten tell little. */
#define NEW_WINDOWS 8.0

/*
 * The score of that part of range which begins at part->start, or NULL if it has none; part->end is set to where that part ends. *at
 * is the first of scores that may overlap it; all are asked for in order.
 */
static const struct bede_range *score_of(const struct bede_ranges *scores, const struct bede_range *range,
					 struct bede_range *part, size_t *at)
{
	part->end = range->end;
	while (*at < scores->count && bede_range_is_before(&scores->at[*at], part))
		(*at)++;
	const struct bede_range *one = *at < scores->count ? &scores->at[*at] : NULL;

	if (!one || bede_range_is_before(part, one))
		return NULL;
	if (bede_range_from(one) > bede_range_from(part)) {
		part->end = bede_range_from(one) + part->shift;
		return NULL;
	}
	part->end = minimum(bede_range_to(one) + part->shift, range->end);
	return one;
}

/*
 * The average of a score, with the weight kept, and of what was measured. It is rounded towards the latter, or a part that is
 * never in use would keep a last few points, and so a place of its own in the list, for ever.
 */
static unsigned average(double was, unsigned measured, double kept)
{
	const double inexact = 1e-9;
	double now = was * kept + measured * (1 - kept);

	return (unsigned)(measured > was ? now + 1 - inexact : now + inexact);
}

double bede_scores_use(const struct bede_ranges *ranges)
{
	double use = 0;

	for (size_t i = 0; i < ranges->count; i++)
		use += (double)(ranges->at[i].end - ranges->at[i].start) * ranges->at[i].heat;
	return use;
}

/* How much memory there is: what was found, or more if more was in use, since nobody knows how many processes share a page. */
static double in_memory(const struct bede_ranges *ranges, uint64_t found)
{
	uint64_t used = 0;

	for (size_t i = 0; i < ranges->count; i++)
		used += ranges->at[i].heat ? ranges->at[i].end - ranges->at[i].start : 0;
	return (double)(used > found ? used : found);
}

/*
 * Join neighbours that differ by less and less similar scores, until the list has space for what the next measurement divides. If
 * that does not help, forget all of them.
 */
static void shorten(struct bede_ranges *scores)
{
	for (unsigned apart = 5; scores->count > BEDE_MOST_RANGES / 2; apart *= 2) {
		/* Parts with gaps between them cannot be joined. */
		if (apart > 2 * BEDE_HEAT_ALWAYS) {
			scores->count = 0;
			return;
		}
		struct bede_range *last = scores->at;
		unsigned low = last->heat, high = low;

		for (size_t i = 1; i < scores->count; i++) {
			const struct bede_range *next = &scores->at[i];
			unsigned lower = next->heat < low ? next->heat : low;
			unsigned higher = next->heat > high ? next->heat : high;

			if (next->pid != last->pid || next->object != last->object ||
			    next->start != last->end || next->shift != last->shift ||
			    higher - lower > apart) {
				*++last = *next;
				low = high = last->heat;
				continue;
			}
			double size = (double)(last->end - last->start),
			       more = (double)(next->end - next->start);

			last->heat =
				(unsigned)((size * last->heat + more * next->heat) / (size + more) + 0.5);
			last->end = next->end;
			low = lower;
			high = higher;
		}
		scores->count = (size_t)(last - scores->at) + 1;
	}
}

/* The same part of shared memory by another range's process, which used it last. */
static struct bede_range by_process_of(struct bede_range part, const struct bede_range *other)
{
	part.start = bede_range_from(&part) + other->shift;
	part.end = bede_range_to(&part) + other->shift;
	part.pid = other->pid;
	part.shift = other->shift;
	return part;
}

void bede_scores_learn(struct bede_ranges *scores, struct bede_ranges *measured, unsigned windows,
		       unsigned before, uint64_t memory)
{
	struct bede_ranges out = { 0 };
	double kept = (double)before / (before + windows), all = in_memory(measured, memory);
	double usual = all > 0 ? bede_scores_use(measured) / all : 0;
	size_t at = 0;
	int err = 0;

	if (!before)
		scores->count = 0;
	for (size_t i = 0; i < measured->count && !err; i++) {
		const struct bede_range *one = &measured->at[i];
		struct bede_range part = *one;

		for (; part.start < one->end && !err; part.start = part.end) {
			const struct bede_range *was = score_of(scores, one, &part, &at);

			if (was)
				part.heat = average(was->heat, one->heat, kept);
			else if (before)
				part.heat = average(usual, one->heat, NEW_WINDOWS / (NEW_WINDOWS + windows));
			else
				part.heat = one->heat;
			err = bede_ranges_join(&out, was && !one->heat ? by_process_of(part, was) : part);
		}
	}
	free(scores->at);
	free(measured->at);
	*scores = out;
	*measured = (struct bede_ranges){ 0 };
	shorten(scores);
}

double bede_scores_trust(const struct bede_ranges *scores, unsigned windows, uint64_t memory)
{
	double there = in_memory(scores, memory), all = bede_scores_use(scores), squares = 0, chance = 0;

	for (size_t i = 0; i < scores->count; i++) {
		double bytes = (double)(scores->at[i].end - scores->at[i].start), score = scores->at[i].heat;

		squares += bytes * score * score;
		chance += bytes * score * (BEDE_HEAT_ALWAYS - score);
	}
	if (there <= 0 || windows < 2)
		return 0;
	all /= there;
	double differ = squares / there - all * all;

	chance /= there * (windows - 1);
	return differ > chance ? 1 - chance / differ : 0;
}

bool bede_scores_are_outdated(const struct bede_ranges *scores, const struct bede_ranges *measured,
			      double trust, uint64_t memory)
{
	double all = 0, all_expected = 0, hot = 0, hot_expected = 0, hot_bytes = 0;
	size_t at = 0;

	for (size_t i = 0; i < measured->count; i++) {
		const struct bede_range *one = &measured->at[i];
		struct bede_range part = *one;

		for (; part.start < one->end; part.start = part.end) {
			const struct bede_range *score = score_of(scores, one, &part, &at);
			double bytes = (double)(part.end - part.start);

			if (!score)
				continue;
			all += bytes * one->heat;
			all_expected += bytes * score->heat;
			if (score->heat < HOT_SCORE)
				continue;
			hot_bytes += bytes;
			hot += bytes * one->heat;
			hot_expected += bytes * score->heat;
		}
	}
	if (!memory || hot_bytes <= 0)
		return false;
	double usual = all < all_expected ? all / all_expected : 1,
	       chance = all / in_memory(measured, memory);
	double expected = trust * (hot_expected / hot_bytes * usual - chance),
	       seen = hot / hot_bytes - chance;

	return expected > LEAST_HOTTER && seen < expected * STILL_HOT;
}

uint64_t bede_scores_window(double seen, uint64_t window_us, uint64_t bound)
{
	double ratio = seen > 0 ? (double)bound / seen : STEP;

	ratio = ratio > STEP ? STEP : ratio < 1.0 / STEP ? 1.0 / STEP : ratio;
	double next = (double)window_us * ratio;

	return (uint64_t)(next < LEAST_US	     ? LEAST_US :
			  next > BEDE_WINDOW_MOST_US ? BEDE_WINDOW_MOST_US :
						       next);
}
