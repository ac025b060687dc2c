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
#define SURE 3 /* so many deviations are no chance */
#define LEAST_HOTTER (5 * BEDE_HEAT_POINT)
#define ROUNDS 40 /* more change little */
/* So many different shares of windows in which memory is used, if chance is left out. */
#define RATES 51
#define SCORES (BEDE_HEAT_POINTS + 1)
#define MOST_THROWS 400	 /* beyond that the rates are further apart than scores by chance */
#define MOST_SHARE 0.999 /* what is used more often cannot be told from what is always in use */
#define MOST_TIMES \
	8.0	 /* windows are made shorter or longer where a load does much more or less than before */
#define STEPS 12 /* they tell MOST_TIMES to a thousandth */

static unsigned points_of(unsigned score)
{
	unsigned points = (score + BEDE_HEAT_POINT / 2) / BEDE_HEAT_POINT;

	return points < BEDE_HEAT_POINTS ? points : BEDE_HEAT_POINTS;
}

/*
 * How many bytes have a score of so many points, of so many windows at least. What is not in use is not counted by its places, most
 * of which may have no memory: it is what is left of all memory.
 */
static void count(const struct bede_ranges *scores, unsigned windows, uint64_t memory, double *bytes)
{
	double used = 0, left_out = 0;

	for (size_t i = 0; i < scores->count; i++) {
		const struct bede_range *one = &scores->at[i];
		unsigned points = points_of(one->heat);
		double size = (double)(one->end - one->start);

		if (!points)
			continue;
		if (one->windows < windows) {
			left_out += size;
			continue;
		}
		bytes[points] += size;
		used += size;
	}
	bytes[0] = bede_scores_in_memory(scores, memory) - used - left_out;
	bytes[0] = bytes[0] > 0 ? bytes[0] : 0;
}

static double share_of(unsigned rate)
{
	return (rate + 0.5) / RATES;
}

/* How likely each score is for memory of each rate: so many throws of its coin. As a part of the most likely rate's, for each score. */
static void find_chances(double throws, double chance[SCORES][RATES])
{
	double used[RATES], unused[RATES];

	for (unsigned rate = 0; rate < RATES; rate++) {
		used[rate] = throws * log(share_of(rate));
		unused[rate] = throws * log(1 - share_of(rate));
	}
	for (unsigned points = 0; points < SCORES; points++) {
		double score = (double)points / BEDE_HEAT_POINTS, most = -INFINITY, at[RATES];

		for (unsigned rate = 0; rate < RATES; rate++) {
			at[rate] = score * used[rate] + (1 - score) * unused[rate];
			most = at[rate] > most ? at[rate] : most;
		}
		for (unsigned rate = 0; rate < RATES; rate++)
			chance[points][rate] = exp(at[rate] - most);
	}
}

/* How common memory with a score is, if each rate is so common. */
static double sum_of(const double *chance, const double *common)
{
	double all = 0;

	for (unsigned rate = 0; rate < RATES; rate++)
		all += chance[rate] * common[rate];
	return all;
}

/*
 * Find out how common each rate is, by expectation and maximization: a rate is as common as the scores say that were as common as it
 * was thought to be.
 */
static void find_rates(const double *bytes, double chance[SCORES][RATES], double *common)
{
	double all = 0;

	for (unsigned points = 0; points < SCORES; points++)
		all += bytes[points];
	for (unsigned rate = 0; rate < RATES; rate++)
		common[rate] = 1.0 / RATES;
	for (unsigned round = 0; round < ROUNDS && all > 0; round++) {
		double next[RATES] = { 0 };

		for (unsigned points = 0; points < SCORES; points++) {
			double sum = bytes[points] > 0 ? sum_of(chance[points], common) : 0;
			double part = sum > 0 ? bytes[points] / all / sum : 0;

			for (unsigned rate = 0; rate < RATES && part > 0; rate++)
				next[rate] += part * chance[points][rate] * common[rate];
		}
		memcpy(common, next, sizeof(next));
	}
}

/* Set what is to be expected of memory with that many points. */
static void expect(struct bede_forecast *out, unsigned points, const double *chance, const double *common)
{
	double all = sum_of(chance, common), mean = 0, squares = 0;

	for (unsigned rate = 0; rate < RATES && all > 0; rate++) {
		double part = chance[rate] * common[rate] / all, share = share_of(rate);

		mean += part * share;
		squares += part * share * share;
	}
	/* Where nothing is known, since no memory has a score that is near, the score itself. */
	double heat = all > 0 ? mean * BEDE_HEAT_ALWAYS : points * BEDE_HEAT_POINT;
	double least = points ? out->heat[points - 1] : 0;

	out->heat[points] = heat > least ? heat : least;
	out->spread[points] = squares > mean * mean ? squares - mean * mean : 0;
}

void bede_forecast_make(const struct bede_ranges *scores, unsigned windows, double chance, uint64_t memory,
			struct bede_forecast *out)
{
	double bytes[SCORES] = { 0 }, chances[SCORES][RATES], common[RATES];
	double throws = 1 / chance, all = bede_scores_in_memory(scores, memory);

	count(scores, windows, memory, bytes);
	find_chances(throws < MOST_THROWS ? throws : MOST_THROWS, chances);
	find_rates(bytes, chances, common);
	for (unsigned points = 0; points < SCORES; points++)
		expect(out, points, chances[points], common);
	out->usual = all > 0 ? bede_scores_use(scores) / all : 0;
	out->windows = windows;
}

unsigned bede_forecast_of(const struct bede_forecast *forecast, const struct bede_range *score)
{
	double heat = forecast->heat[points_of(score->heat)];

	if (score->windows < forecast->windows)
		heat = forecast->usual +
		       (heat - forecast->usual) * sqrt((double)score->windows / forecast->windows);
	return (unsigned)heat;
}

/* Note that of a part with a score so much heat was measured. */
static void note(const struct bede_forecast *forecast, const struct bede_range *score, double bytes,
		 unsigned heat, struct bede_comparison *out)
{
	struct bede_alike *alike = &out->alike[points_of(score->heat)];
	double share = (double)heat / BEDE_HEAT_ALWAYS;

	out->all += bytes * heat;
	out->all_scores += bytes * score->heat;
	if (score->heat >= HOT_SCORE) {
		out->hot_bytes += bytes;
		out->hot_squares += bytes * bytes;
		out->hot += bytes * heat;
		out->hot_expected += bytes * bede_forecast_of(forecast, score);
	}
	/* What is new is expected to differ; and what is not in use may have no memory at all. */
	if (score->windows < forecast->windows || (!score->heat && !heat))
		return;
	alike->bytes += bytes;
	alike->use += bytes * share;
	alike->squares += bytes * share * share;
	alike->parts += bytes * bytes;
}

void bede_forecast_compare(const struct bede_forecast *forecast, const struct bede_ranges *scores,
			   const struct bede_ranges *measured, struct bede_comparison *out)
{
	size_t at = 0;

	*out = (struct bede_comparison){ 0 };
	for (size_t i = 0; i < measured->count; i++) {
		const struct bede_range *one = &measured->at[i];
		struct bede_range part = *one;

		for (; part.start < one->end; part.start = part.end) {
			const struct bede_range *score = bede_scores_of(scores, one, &part, &at);

			if (score)
				note(forecast, score, (double)(part.end - part.start), one->heat, out);
		}
	}
}

/* The share of windows in which memory is used that was used in expected ones, if each part is used so many times as often. */
static double if_busier(double expected, double times)
{
	return 1 - exp(times * log(1 - expected));
}

/* How many times as often as expected each part was used. */
static double find_times(const struct bede_alike *seen, const double *expected)
{
	double least = 1 / MOST_TIMES, most = MOST_TIMES, used = 0;

	for (unsigned points = 0; points < SCORES; points++)
		used += seen[points].use;
	for (unsigned step = 0; step < STEPS; step++) {
		double times = sqrt(least * most), all = 0;

		for (unsigned points = 0; points < SCORES; points++)
			all += seen[points].bytes > 0 ?
				       seen[points].bytes * if_busier(expected[points], times) :
				       0;
		if (all < used)
			least = times;
		else
			most = times;
	}
	return sqrt(least * most);
}

struct bede_drift bede_forecast_drift(const struct bede_forecast *forecast,
				      const struct bede_comparison *compared, unsigned windows)
{
	double expected[SCORES], excess = 0, throws = 0, squares = 0;

	for (unsigned points = 0; points < SCORES; points++) {
		double share = forecast->heat[points] / BEDE_HEAT_ALWAYS;

		expected[points] = share < MOST_SHARE ? share : MOST_SHARE;
	}
	double times = find_times(compared->alike, expected);

	for (unsigned points = 0; points < SCORES; points++) {
		const struct bede_alike *alike = &compared->alike[points];
		double share = if_busier(expected[points], times), throw = share * (1 - share);
		/* How much the share changes with the expected one. */
		double slope = times * (1 - share) / (1 - expected[points]);
		double chance =
			throw / windows + (1 - 1.0 / windows) * forecast->spread[points] * slope * slope;

		excess += alike->squares - 2 * share * alike->use + share * share * alike->bytes -
			  chance * alike->bytes;
		throws += throw * alike->bytes;
		squares += alike->parts * chance * chance * 2;
	}
	if (throws <= 0)
		return (struct bede_drift){ 0 };
	excess /= throws;
	return (struct bede_drift){ .more = excess < 1 ? excess : 1, .error = sqrt(squares) / throws };
}

bool bede_forecast_has_failed(const struct bede_comparison *compared, double there, unsigned windows)
{
	if (there <= 0 || compared->hot_bytes <= 0)
		return false;
	double usual = compared->all < compared->all_scores ? compared->all / compared->all_scores : 1;
	double chance = compared->all / there;
	double expected = compared->hot_expected / compared->hot_bytes * usual - chance;
	double seen = compared->hot / compared->hot_bytes - chance;
	double share = (expected + chance) / BEDE_HEAT_ALWAYS, throw = share < 1 ? share * (1 - share) : 0;
	double parts = compared->hot_bytes * compared->hot_bytes / compared->hot_squares;
	double deviation = sqrt(throw / (parts * windows)) * BEDE_HEAT_ALWAYS;

	return expected > LEAST_HOTTER && seen < expected * STILL_HOT && seen < expected - SURE * deviation;
}
