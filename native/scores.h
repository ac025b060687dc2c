/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What repeated measurements of heat tell: a running average for each part of a container's memory, and how long the
 * next windows should be. Opens no files.
 */
#ifndef BEDE_SCORES_H
#define BEDE_SCORES_H

#include <stdbool.h>

#include "ranges.h"

/* What is used less often is not worth moving: see PAYS in exchange.c. */
#define BEDE_WINDOW_MOST_US 333333
#define BEDE_SCORES_MOST 20 /* windows that a score is the average of; older ones count less and less */

/*
 * Average what was measured in so many windows with the scores so far, which are averages of before windows; 0: begin anew. Where
 * the borders differ, ranges are divided. memory is how many bytes there are in memory. Both lists are sorted by owner and place,
 * and scores is afterwards; measured is emptied.
 */
void bede_scores_learn(struct bede_ranges *scores, struct bede_ranges *measured, unsigned windows,
		       unsigned before, uint64_t memory);

/* How much all of it is in use, in bytes times heat. */
double bede_scores_use(const struct bede_ranges *ranges);

/*
 * How much of a difference between scores is to be expected in the future, 0 to 1; the rest is chance. That part of the variance
 * of scores which is not the variance of as many throws of a coin (empirical Bayes; Efron and Morris 1975). Where all memory is
 * used alike, it is 0.
 */
double bede_scores_trust(const struct bede_ranges *scores, unsigned windows, uint64_t memory);

/*
 * Whether what had the highest scores is not in use any more, though as much as before is in use in all: then the scores say
 * nothing about the present. trust is theirs; memory is how many bytes there are in memory. Both are sorted by owner and
 * place.
 */
bool bede_scores_are_outdated(const struct bede_ranges *scores, const struct bede_ranges *measured,
			      double trust, uint64_t memory);

/*
 * The length of the next windows, after windows of window_us in which so many bytes were seen in use, in the mean: such that as much memory is in use within one as the bound
 * allows. A page at that rank is then seen in some windows and not in others, which is when they tell most. It stays
 * within 1 ms and BEDE_WINDOW_MOST_US, and changes by four times at most.
 */
uint64_t bede_scores_window(double seen, uint64_t window_us, uint64_t bound);

#endif
