/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What repeated measurements of heat tell: a running average for each part of a container's memory, and how long the
 * next windows should be. Opens no files.
 */
#ifndef BEDE_SCORES_H
#define BEDE_SCORES_H

#include <stdbool.h>

#include "ranges.h"

/* What is used less often is not worth moving: see PAYS in worth.c. */
#define BEDE_WINDOW_MOST_US 333333
/* Windows that a score is the average of; older ones count less and less. */
#define BEDE_SCORES_LEAST 20
#define BEDE_SCORES_MOST 320

/*
 * Average what was measured in so many windows with the scores so far, as if these were averages of most windows at most; 0: begin
 * anew. Where the borders differ, ranges are divided. memory is how many bytes there are in memory. Both lists are sorted by owner
 * and place, and scores is afterwards; measured is emptied.
 */
void bede_scores_learn(struct bede_ranges *scores, struct bede_ranges *measured, unsigned windows,
		       unsigned most, uint64_t memory);

/* How much all of it is in use, in bytes times heat. */
double bede_scores_use(const struct bede_ranges *ranges);

/* How much memory there is: what was found, or more if more was in use, since nobody knows how many processes share a page. */
double bede_scores_in_memory(const struct bede_ranges *ranges, uint64_t found);

/*
 * The score of that part of range which begins at part->start, or NULL if it has none; part->end is set to where that part ends. *at
 * is the first of scores that may overlap it; all are asked for in order.
 */
const struct bede_range *bede_scores_of(const struct bede_ranges *scores, const struct bede_range *range,
					struct bede_range *part, size_t *at);

/*
 * The length of the next windows, after windows of window_us in which so many bytes were seen in use, in the mean: such that as much
 * memory is in use within one as the bound allows. A page at that rank is then seen in some windows and not in others,
 * which is when they tell most. It stays within 1 ms and BEDE_WINDOW_MOST_US, and changes by four times at most.
 */
uint64_t bede_scores_window(double seen, uint64_t window_us, uint64_t bound);

#endif
