/* SPDX-License-Identifier: Apache-2.0 */
#include "forecast.h"

#include <math.h>
#include <string.h>

/*
 * A part with a score of 50 or more is hot. If less than half of its lead over memory on the average is left, and the load does
 * as much as before, other pages are hot now. A lead of less than five points may be chance.
 */
#define HOT_SCORE (50 * BEDE_HEAT_POINT)
#define STILL_HOT 0.5
#define LEAST_HOTTER (5 * BEDE_HEAT_POINT)
#define ROUNDS 40 /* more change little */
/* So many different shares of windows in which memory is used, if chance is left out. */
#define RATES 51
#define SCORES (BEDE_FORECAST_POINTS + 1)

/* How many bytes have a score of so many points. What is in no list, or in it with places that have no memory, has 0. */
static void count(const struct bede_ranges *scores, uint64_t memory, double *bytes)
{
	double used = 0;

	for (size_t i = 0; i < scores->count; i++) {
		const struct bede_range *one = &scores->at[i];
		unsigned points = (one->heat + BEDE_HEAT_POINT / 2) / BEDE_HEAT_POINT;
		double size = (double)(one->end - one->start);

		if (!points)
			continue;
		bytes[points < BEDE_FORECAST_POINTS ? points : BEDE_FORECAST_POINTS] += size;
		used += size;
	}
	bytes[0] = bede_scores_in_memory(scores, memory) - used;
}

static double share_of(unsigned rate)
{
	return (rate + 0.5) / RATES;
}

/* How likely each score is for memory of each rate: so many throws of its coin. As a part of the most likely rate's, for each score. */
static void find_chances(unsigned windows, double chance[SCORES][RATES])
{
	double used[RATES], unused[RATES];

	for (unsigned rate = 0; rate < RATES; rate++) {
		used[rate] = windows * log(share_of(rate));
		unused[rate] = windows * log(1 - share_of(rate));
	}
	for (unsigned points = 0; points < SCORES; points++) {
		double score = (double)points / BEDE_FORECAST_POINTS, most = -INFINITY, at[RATES];

		for (unsigned rate = 0; rate < RATES; rate++) {
			at[rate] = score * used[rate] + (1 - score) * unused[rate];
			most = at[rate] > most ? at[rate] : most;
		}
		for (unsigned rate = 0; rate < RATES; rate++)
			chance[points][rate] = exp(at[rate] - most);
	}
}

/* The sum of what memory with that score is of each rate, and *mean: the mean of these rates. */
static double sum_of(const double *chance, const double *common, double *mean)
{
	double all = 0, shares = 0;

	for (unsigned rate = 0; rate < RATES; rate++) {
		all += chance[rate] * common[rate];
		shares += chance[rate] * common[rate] * share_of(rate);
	}
	*mean = all > 0 ? shares / all : 0;
	return all;
}

void bede_forecast_make(const struct bede_ranges *scores, unsigned windows, uint64_t memory,
			struct bede_forecast *out)
{
	double bytes[SCORES] = { 0 }, all = 0;
	double chance[SCORES][RATES], common[RATES], mean;

	count(scores, memory, bytes);
	find_chances(windows, chance);
	for (unsigned points = 0; points < SCORES; points++)
		all += bytes[points];
	for (unsigned rate = 0; rate < RATES; rate++)
		common[rate] = 1.0 / RATES;
	/* Expectation and maximization: a rate is as common as the scores say that were as common as it was thought to be. */
	for (unsigned round = 0; round < ROUNDS && all > 0; round++) {
		double next[RATES] = { 0 };

		for (unsigned points = 0; points < SCORES; points++) {
			double sum = bytes[points] > 0 ? sum_of(chance[points], common, &mean) : 0;
			double part = sum > 0 ? bytes[points] / all / sum : 0;

			for (unsigned rate = 0; rate < RATES && part > 0; rate++)
				next[rate] += part * chance[points][rate] * common[rate];
		}
		memcpy(common, next, sizeof(common));
	}
	double last = 0;

	for (unsigned points = 0; points < SCORES; points++) {
		/* Where nothing is known, since no memory has a score that is near, the score itself. */
		double expected = sum_of(chance[points], common, &mean) > 0 ? mean * BEDE_HEAT_ALWAYS :
									      points * BEDE_HEAT_POINT;

		last = expected > last ? expected : last;
		out->heat[points] = last;
	}
}

double bede_forecast_drift(const struct bede_ranges *scores, const struct bede_ranges *measured,
			   unsigned windows)
{
	double used = 0, expected = 0, squares = 0, products = 0, score_squares = 0, chance = 0,
	       chance_squares = 0;
	size_t at = 0;

	for (size_t i = 0; i < measured->count; i++) {
		const struct bede_range *one = &measured->at[i];
		struct bede_range part = *one;

		for (; part.start < one->end; part.start = part.end) {
			const struct bede_range *was = bede_scores_of(scores, one, &part, &at);

			if (!was || was->windows < 2)
				continue;
			double bytes = (double)(part.end - part.start), n = was->windows;
			double seen = (double)one->heat / BEDE_HEAT_ALWAYS;
			double score = (double)was->heat / BEDE_HEAT_ALWAYS;
			double throws = bytes * (1.0 / windows + 1 / n) * n / (n - 1);

			used += bytes * seen;
			expected += bytes * score;
			squares += bytes * seen * seen;
			products += bytes * seen * score;
			score_squares += bytes * score * score;
			chance += throws * score;
			chance_squares += throws * score * score;
		}
	}
	/* A load that does more, or less, in all uses each part more or less often. */
	double ratio = expected > 0 ? used / expected : 0;
	double one_throw = ratio * expected - ratio * ratio * score_squares;
	double differ = squares - 2 * ratio * products + ratio * ratio * score_squares;

	return one_throw > 0 ? (differ - ratio * chance + ratio * ratio * chance_squares) / one_throw : 0;
}

bool bede_forecast_has_failed(const struct bede_ranges *scores, const struct bede_ranges *measured,
			      const struct bede_forecast *forecast, uint64_t memory)
{
	double all = 0, all_expected = 0, hot = 0, hot_expected = 0, hot_bytes = 0;
	size_t at = 0;

	for (size_t i = 0; i < measured->count; i++) {
		const struct bede_range *one = &measured->at[i];
		struct bede_range part = *one;

		for (; part.start < one->end; part.start = part.end) {
			const struct bede_range *score = bede_scores_of(scores, one, &part, &at);
			double bytes = (double)(part.end - part.start);

			if (!score)
				continue;
			all += bytes * one->heat;
			all_expected += bytes * score->heat;
			if (score->heat < HOT_SCORE)
				continue;
			hot_bytes += bytes;
			hot += bytes * one->heat;
			hot_expected += bytes * bede_forecast_of(forecast, score->heat);
		}
	}
	if (!memory || hot_bytes <= 0)
		return false;
	double usual = all < all_expected ? all / all_expected : 1,
	       chance = all / bede_scores_in_memory(measured, memory);
	double expected = hot_expected / hot_bytes * usual - chance, seen = hot / hot_bytes - chance;

	return expected > LEAST_HOTTER && seen < expected * STILL_HOT;
}
