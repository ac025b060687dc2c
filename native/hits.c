/* SPDX-License-Identifier: Apache-2.0 */
#include "hits.h"

#include "heat.h"
#include "scores.h"
#include "units.h"

#define SAMPLE 1024
#define THOUSANDTHS 1000

/* The use of the bound's worth of the hottest memory. */
static double use_of_best(const struct bede_ranges *scores, uint64_t bound)
{
	uint64_t bytes[BEDE_HEAT_POINTS + 1] = { 0 };
	double use[BEDE_HEAT_POINTS + 1] = { 0 }, best = 0;

	for (size_t i = 0; i < scores->count; i++) {
		const struct bede_range *one = &scores->at[i];
		uint64_t size = one->end - one->start,
			 point = minimum(one->heat / BEDE_HEAT_POINT, BEDE_HEAT_POINTS);

		bytes[point] += one->heat ? size : 0;
		use[point] += (double)size * one->heat;
	}
	for (int point = (int)BEDE_HEAT_POINTS; point >= 0 && bound; point--) {
		uint64_t part = minimum(bytes[point], bound);

		best += part ? use[point] * (double)part / (double)bytes[point] : 0;
		bound -= part;
	}
	return best;
}

/* Count those of the pages that are local, and all that are in memory; then forget them. */
static void count(struct bede_pages *pages, uint64_t local_mask, uint64_t far_mask, uint64_t *local,
		  uint64_t *all)
{
	/* A page's place is asked for, whatever its size. */
	for (size_t i = 0; i < pages->count; i++)
		pages->size[i] = PAGE;
	if (!bede_pages_keep(pages, 0, local_mask | far_mask)) {
		*all += pages->count;
		if (!bede_pages_keep(pages, 0, local_mask))
			*local += pages->count;
	}
	bede_pages_clear(pages);
}

void bede_hits_estimate(const struct bede_search *search, struct bede_pages *pages, uint64_t local_mask,
			uint64_t far_mask, uint64_t bound, struct bede_hits *out)
{
	const struct bede_ranges *scores = &search->heat;
	double all = bede_scores_use(scores), step = all / SAMPLE, next = step / 2, passed = 0;
	uint64_t local = 0, found = 0;
	int gone = 0; /* a process that has ended */

	bede_pages_clear(pages);
	for (size_t i = 0; i < scores->count && step > 0; i++) {
		struct bede_range page = scores->at[i];
		double use = (double)(page.end - page.start) * page.heat;

		if (!bede_pages_fit(pages, &page))
			count(pages, local_mask, far_mask, &local, &found);
		for (; next < passed + use && pages->count < BEDE_BATCH && page.pid != gone; next += step) {
			uint64_t at = scores->at[i].start + (uint64_t)((next - passed) / page.heat);

			page.start = at & ~(PAGE - 1);
			page.end = page.start + PAGE;
			at = page.start;
			if (bede_pages_add(pages, &page, &at))
				gone = page.pid;
		}
		passed += use;
		next = next > passed ? next : passed;
	}
	count(pages, local_mask, far_mask, &local, &found);
	if (found && all > 0) {
		out->local = (unsigned)(local * THOUSANDTHS / found);
		out->best = (unsigned)(use_of_best(scores, bound) * THOUSANDTHS / all);
	}
}
