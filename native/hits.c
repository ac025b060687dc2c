/* SPDX-License-Identifier: Apache-2.0 */
#include "hits.h"

#include "units.h"

#define SAMPLE 1024
#define THOUSANDTHS 1000

static double use_of(const struct bede_range *range, uint64_t bytes)
{
	return (double)bytes * range->heat;
}

static double use_of_all(const struct bede_ranges *ranges)
{
	double all = 0;

	for (size_t i = 0; i < ranges->count; i++)
		all += use_of(&ranges->at[i], ranges->at[i].end - ranges->at[i].start);
	return all;
}

/* The use of the bound's worth of the hottest memory; the list is sorted by heat. */
static double use_of_best(const struct bede_ranges *sorted, uint64_t bound)
{
	double best = 0;

	for (size_t i = sorted->count; i-- > 0 && bound;) {
		const struct bede_range *one = &sorted->at[i];
		uint64_t part = minimum(one->end - one->start, bound);

		best += use_of(one, part);
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
	const struct bede_ranges *scores = &search->heat, *sorted = &search->vmas.ranges;
	double step = use_of_all(scores) / SAMPLE, next = step / 2, passed = 0, all = use_of_all(sorted);
	uint64_t local = 0, found = 0;
	int gone = 0; /* a process that has ended */

	bede_pages_clear(pages);
	for (size_t i = 0; i < scores->count && step > 0; i++) {
		struct bede_range page = scores->at[i];
		double use = use_of(&scores->at[i], page.end - page.start);

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
		out->best = (unsigned)(use_of_best(sorted, bound) * THOUSANDTHS / all);
	}
}
