/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What scores (scores.h) say about the future: how much of them is chance, and whether memory is still used as they say. Opens no
 * files.
 */
#ifndef BEDE_FORECAST_H
#define BEDE_FORECAST_H

#include "heat.h"
#include "scores.h"

#define BEDE_FORECAST_POINTS (BEDE_HEAT_ALWAYS / BEDE_HEAT_POINT)

/* For scores from 0 to BEDE_HEAT_ALWAYS, by whole points: the heat to be expected. It never falls as scores rise. */
struct bede_forecast {
	double heat[BEDE_FORECAST_POINTS + 1];
};

/*
 * What is to be expected of memory with each score. Of many parts that are used alike some have higher scores than others by chance,
 * the more so the fewer the windows. So this finds out how common each rate of use is if chance is left out, from all scores
 * together, and then the mean rate of what has a score (empirical Bayes without assumptions on the former: Kiefer and
 * Wolfowitz, Annals of Mathematical Statistics 1956; by expectation and maximization: Laird, JASA 1978). Where all memory is used
 * alike, the same is expected of all of it. windows is the number that scores are averages of; memory is how many bytes there are
 * in memory.
 */
void bede_forecast_make(const struct bede_ranges *scores, unsigned windows, uint64_t memory,
			struct bede_forecast *out);

/* The heat to be expected of memory with that score. */
static inline double bede_forecast_of(const struct bede_forecast *forecast, unsigned score)
{
	unsigned points = (score + BEDE_HEAT_POINT / 2) / BEDE_HEAT_POINT;

	return forecast->heat[points < BEDE_FORECAST_POINTS ? points : BEDE_FORECAST_POINTS];
}

/*
 * By how much what was measured in so many windows differs from the scores beyond chance: that part of the mean square which is not
 * the variance of the windows' throws, and of those that the scores are averages of, as a share of one throw's variance. It is
 * about 0 where each part is used as often as before, whatever that is. Both are sorted by owner and place.
 */
double bede_forecast_drift(const struct bede_ranges *scores, const struct bede_ranges *measured,
			   unsigned windows);

/*
 * Whether what had the highest scores is not in use any more, though as much as before is in use in all: then the scores say
 * nothing about the present. forecast is theirs; memory is how many bytes there are in memory. Both are sorted by owner and
 * place.
 */
bool bede_forecast_has_failed(const struct bede_ranges *scores, const struct bede_ranges *measured,
			      const struct bede_forecast *forecast, uint64_t memory);

#endif
