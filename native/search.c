/* SPDX-License-Identifier: Apache-2.0 */
#include "search.h"

#include "order.h"
#include "shared.h"
#include "units.h"

#define READ_US 1000000 /* age at which the list of VMAs is read again, ... */
#define READ_COST 10	/* ... but not before so many times as long as the last read took */

static struct bede_range *range_at(const struct bede_search *search, const struct bede_hand *hand, bool hot)
{
	const struct bede_ranges *ranges = &search->vmas.ranges;

	return hand->index < ranges->count ?
		       &ranges->at[hot ? ranges->count - 1 - hand->index : hand->index] :
		       NULL;
}

static void find_again(struct bede_search *search, struct bede_hand *hand, const struct bede_range *was,
		       bool hot)
{
	const struct bede_ranges *ranges = &search->vmas.ranges;
	size_t index = was ? bede_order_find(ranges, was) : 0;

	if (!was || index == ranges->count) {
		*hand = (struct bede_hand){ 0 };
		return;
	}
	hand->index = hot ? ranges->count - 1 - index : index;
	if (ranges->at[index].start != was->start || ranges->at[index].pid != was->pid)
		hand->at = 0;
}

void bede_search_read(struct bede_search *search)
{
	search->begun_us = now_us();
	if (bede_vmas_read(&search->vmas, search->dir, search->local_mask, search->stopped, search->context))
		search->vmas.ranges.count = 0;
	bede_shared_limit(&search->vmas.ranges);
}

void bede_search_sort(struct bede_search *search)
{
	struct bede_ranges *ranges = &search->vmas.ranges;

	bede_order_by_place(ranges);
	/* Without a list of VMAs nothing can be said about what was measured. */
	int err = ranges->count ? bede_ranges_clip(&search->heat, ranges) : 0;

	if (err || bede_order(ranges, &search->heat, search->by_page, search->forecast))
		ranges->count = 0;
	uint64_t end = now_us();

	search->earliest_us = end + (end - search->begun_us) * READ_COST;
	search->read_us = search->earliest_us > end + READ_US ? search->earliest_us : end + READ_US;
}

bool bede_search_refresh(struct bede_search *search, bool now)
{
	uint64_t start = now_us();

	if (start < search->earliest_us || (start < search->read_us && !now))
		return false;
	struct bede_range *cold = range_at(search, &search->cold, false), was_cold = { 0 };
	struct bede_range *hot = range_at(search, &search->hot, true), was_hot = { 0 };

	if (cold)
		was_cold = *cold;
	if (hot)
		was_hot = *hot;
	uint64_t due_us = search->due_us > search->heat_us ? search->due_us : search->heat_us;

	if (search->heat_us && start > due_us + BEDE_STALE_US)
		search->heat.count = 0;
	bede_search_read(search);
	bede_search_sort(search);
	find_again(search, &search->cold, cold ? &was_cold : NULL, false);
	find_again(search, &search->hot, hot ? &was_hot : NULL, true);
	return true;
}

void bede_search_rewind(struct bede_search *search)
{
	search->cold = search->hot = (struct bede_hand){ 0 };
}

/*
 * Add pages of the next ranges until there is no space, or no further range that fits. Returns whether that is the end
 * of what the hand can find for these pages.
 */
static bool fill(struct bede_search *search, struct bede_pages *pages, bool hot, uint64_t mask,
		 unsigned limit)
{
	struct bede_hand *hand = hot ? &search->hot : &search->cold;

	for (struct bede_range *range; (range = range_at(search, hand, hot));) {
		if (hot ? range->heat < limit : range->heat > limit)
			return true;
		if (hand->at < range->start)
			hand->at = range->start;
		if (range->nodes & mask && hand->at < range->end) {
			if (!bede_pages_fit(pages, range))
				return true;
			if (pages->count == BEDE_BATCH)
				return false;
			if (!bede_pages_add(pages, range, &hand->at))
				continue;
		}
		hand->index++;
		hand->at = 0;
	}
	return true;
}

int bede_search_collect(struct bede_search *search, struct bede_pages *pages, bool hot, uint64_t mask,
			unsigned limit, uint64_t enough, uint64_t until_us)
{
	bede_pages_clear(pages);
	for (;;) {
		size_t first = pages->count;
		bool last = fill(search, pages, hot, mask, limit);
		bool none = pages->count == first;
		int err = bede_pages_keep(pages, first, mask);

		if (pages->count && (last || err || bede_pages_bytes(pages) >= enough))
			return 1;
		if (last && none)
			return 0;
		if (now_us() > until_us || search->stopped(search->context))
			return pages->count ? 1 : -1;
		if (pages->count == BEDE_BATCH)
			return 1;
	}
}

void bede_search_free(struct bede_search *search)
{
	bede_vmas_free(&search->vmas);
	free(search->heat.at);
}
