/* SPDX-License-Identifier: Apache-2.0 */
#include "scores.h"

#include <stdbool.h>

#include "heat.h"
#include "order.h"

#define LEAST_US 1000 /* looking at the pages takes as long */
#define STEP 4	      /* most change of the length at a time */

/* Whether range ends before other begins. */
static bool is_before(const struct bede_range *range, const struct bede_range *other)
{
	return range->pid < other->pid || (range->pid == other->pid && range->end <= other->start);
}

/* The mean score of what is within range, -1 if nothing of it has one. *at: the first that may overlap it. */
static double score_of(const struct bede_ranges *scores, const struct bede_range *range, size_t *at)
{
	double sum = 0, bytes = 0;

	while (*at < scores->count && is_before(&scores->at[*at], range))
		(*at)++;
	for (size_t i = *at; i < scores->count && !is_before(range, &scores->at[i]); i++) {
		const struct bede_range *one = &scores->at[i];
		uint64_t start = one->start > range->start ? one->start : range->start;
		uint64_t end = one->end < range->end ? one->end : range->end;

		if (start >= end)
			continue;
		sum += (double)one->heat * (double)(end - start);
		bytes += (double)(end - start);
	}
	return bytes > 0 ? sum / bytes : -1;
}

void bede_scores_learn(struct bede_ranges *scores, struct bede_ranges *measured, unsigned windows,
		       unsigned before)
{
	double kept = (double)before / (before + windows);
	size_t at = 0;

	bede_order_by_address(measured);
	for (size_t i = 0; i < measured->count; i++) {
		struct bede_range *one = &measured->at[i];
		double was = score_of(scores, one, &at);

		if (was >= 0)
			one->heat = (unsigned)(was * kept + (double)one->heat * (1 - kept) + 0.5);
	}
	free(scores->at);
	*scores = *measured;
	*measured = (struct bede_ranges){ 0 };
}

uint64_t bede_scores_window(const struct bede_ranges *measured, uint64_t window_us, uint64_t bound)
{
	double seen = 0;

	for (size_t i = 0; i < measured->count; i++)
		seen += (double)(measured->at[i].end - measured->at[i].start) * measured->at[i].heat /
			BEDE_HEAT_ALWAYS;
	double ratio = seen > 0 ? (double)bound / seen : STEP;

	ratio = ratio > STEP ? STEP : ratio < 1.0 / STEP ? 1.0 / STEP : ratio;
	double next = (double)window_us * ratio;

	return (uint64_t)(next < LEAST_US	     ? LEAST_US :
			  next > BEDE_WINDOW_MOST_US ? BEDE_WINDOW_MOST_US :
						       next);
}
