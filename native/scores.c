/* SPDX-License-Identifier: Apache-2.0 */
#include "scores.h"

#include "heat.h"
#include "units.h"

#define LEAST_US 1000 /* looking at the pages takes as long */
#define STEP 4	      /* most change of the length at a time */
/* Memory that is new counts as if it had been in use in so many windows as often as other memory: two or ten tell little. */
#define NEW_WINDOWS 8U

const struct bede_range *bede_scores_of(const struct bede_ranges *scores, const struct bede_range *range,
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

double bede_scores_in_memory(const struct bede_ranges *ranges, uint64_t found)
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
	for (unsigned apart = 5 * BEDE_HEAT_POINT; scores->count > BEDE_MOST_RANGES / 2; apart *= 2) {
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
			last->windows = next->windows < last->windows ? next->windows : last->windows;
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
		       unsigned most, uint64_t memory)
{
	struct bede_ranges out = { 0 };
	double all = bede_scores_in_memory(measured, memory);
	double usual = all > 0 ? bede_scores_use(measured) / all : 0;
	size_t at = 0;
	int err = 0;

	if (!most)
		scores->count = 0;
	for (size_t i = 0; i < measured->count && !err; i++) {
		const struct bede_range *one = &measured->at[i];
		struct bede_range part = *one;

		for (; part.start < one->end && !err; part.start = part.end) {
			const struct bede_range *was = bede_scores_of(scores, one, &part, &at);

			unsigned before = was && was->windows < most ? was->windows :
					  was			     ? most :
					  most			     ? NEW_WINDOWS :
								       0;

			part.heat = average(was ? was->heat : usual, one->heat,
					    (double)before / (before + windows));
			part.windows = (uint16_t)(most && before + windows > most ? most : before + windows);
			err = bede_ranges_join(&out, was && !one->heat ? by_process_of(part, was) : part);
		}
	}
	free(scores->at);
	free(measured->at);
	*scores = out;
	*measured = (struct bede_ranges){ 0 };
	shorten(scores);
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
