/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What scores (scores.h) say about the future: how much of them is chance, and whether memory is still used as they say. Opens no
 * files.
 */
#ifndef BEDE_FORECAST_H
#define BEDE_FORECAST_H

#include "heat.h"
#include "scores.h"

struct bede_forecast {
	/* For scores from 0 to BEDE_HEAT_ALWAYS, by whole points. The first never falls as scores rise. */
	double heat[BEDE_HEAT_POINTS + 1];   /* the heat to be expected */
	double spread[BEDE_HEAT_POINTS + 1]; /* its variance, the square of a share of BEDE_HEAT_ALWAYS */
	double usual;			     /* the mean heat of all memory */
	unsigned
		windows; /* that the scores are averages of; 0: nothing is known, and all of the above is unset */
};

/*
 * What is to be expected of memory with each score. Of many parts that are used alike some have higher scores than others by chance,
 * the more so the fewer the windows. So this finds out how common each rate of use is if chance is left out, from all scores
 * together, and then the mean rate of what has a score (empirical Bayes without assumptions on the former: Kiefer and
 * Wolfowitz, Annals of Mathematical Statistics 1956; by expectation and maximization: Laird, JASA 1978). Where all memory is used
 * alike, the same is expected of all of it.
 *
 * windows is the number that scores are averages of; those of fewer windows are left out. chance is the part of one throw's
 * variance that is left in the scores, 1 / windows or less. memory is how many bytes there are in memory.
 */
void bede_forecast_make(const struct bede_ranges *scores, unsigned windows, double chance, uint64_t memory,
			struct bede_forecast *out);

/*
 * The heat to be expected of a range with a score. Where that is an average of fewer windows than others, since the memory is new, the
 * difference from other memory is taken for less, by the root of how many fewer: so it is as certain as that of others.
 */
unsigned bede_forecast_of(const struct bede_forecast *forecast, const struct bede_range *score);

/* What was measured of memory whose scores are alike. Heat is a share of BEDE_HEAT_ALWAYS here. */
struct bede_alike {
	double bytes, use, squares,
		parts; /* sums of bytes, and of these times heat, heat * heat, and bytes */
};

/* What was measured, beside the scores of the same memory. Sums of bytes times heat, but for hot_bytes. */
struct bede_comparison {
	struct bede_alike alike[BEDE_HEAT_POINTS + 1]; /* by points; memory that is new is left out */
	double all, all_scores;			       /* as measured, and by the scores */
	double hot, hot_expected, hot_bytes;	       /* of what has high scores, ... */
	double hot_squares;			       /* ... and the sum of bytes * bytes */
};

/* Compare them; forecast is that of the scores. Both lists are sorted by owner and place. */
void bede_forecast_compare(const struct bede_forecast *forecast, const struct bede_ranges *scores,
			   const struct bede_ranges *measured, struct bede_comparison *out);

struct bede_drift {
	double more; /* by how much the mean square of the difference exceeds chance, as a share of one throw's variance */
	double error; /* the deviation of the former by chance: the fewer parts there are the more */
};

/*
 * How much has changed since the scores were averaged, besides how much is in use in all: a load that does more uses each part more
 * often, in proportion to its rate. Measured in so many windows. It is about 0 where each part is used as often as others
 * with its score.
 */
struct bede_drift bede_forecast_drift(const struct bede_forecast *forecast,
				      const struct bede_comparison *compared, unsigned windows);

/*
 * Whether what had the highest scores is not in use any more, though as much as before is in use in all: then the scores say
 * nothing about the present. there is how many bytes are in memory. A few parts that were not used in those windows by chance are no
 * reason: the less memory has high scores, the more of it must have missed.
 */
bool bede_forecast_has_failed(const struct bede_comparison *compared, double there, unsigned windows);

#endif
