/* SPDX-License-Identifier: Apache-2.0 */
/* How good the present placement is: an estimate from scores and from where a sample of what is in use lies. */
#ifndef BEDE_HITS_H
#define BEDE_HITS_H

#include "search.h"

/* Shares of what was in use, in thousandths, weighted by how often. Zeroed memory stands for: not known yet. */
struct bede_hits {
	unsigned local; /* that is local */
	unsigned best;	/* that would be if the best pages were */
};

/*
 * Estimate by the search's scores. pages is used for asking, and empty afterwards. The sample is some thousand pages, so the
 * error is about 20 thousandths. *out stays as it is if nothing was in use.
 */
void bede_hits_estimate(const struct bede_search *search, struct bede_pages *pages, uint64_t local_mask,
			uint64_t far_mask, uint64_t bound, struct bede_hits *out);

#endif
