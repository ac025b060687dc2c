/* SPDX-License-Identifier: Apache-2.0 */
#include "ranges.h"

#include <errno.h>
#include <stdlib.h>

int bede_ranges_add(struct bede_ranges *ranges, struct bede_range range)
{
	if (ranges->count >= BEDE_MOST_RANGES)
		return 0;
	if (ranges->count == ranges->size) {
		size_t size = ranges->size ? ranges->size * 2 : 256;
		struct bede_range *at = reallocarray(ranges->at, size, sizeof(*at));

		if (!at)
			return -ENOMEM;
		ranges->at = at;
		ranges->size = size;
	}
	ranges->at[ranges->count++] = range;
	return 0;
}

bool bede_ranges_continue(const struct bede_range *one, const struct bede_range *next)
{
	return one->pid == next->pid && one->heat == next->heat && one->end == next->start &&
	       one->unshared_only == next->unshared_only && one->nodes == next->nodes;
}

int bede_ranges_join(struct bede_ranges *ranges, struct bede_range range)
{
	struct bede_range *last = ranges->count ? &ranges->at[ranges->count - 1] : NULL;

	if (!last || !bede_ranges_continue(last, &range))
		return bede_ranges_add(ranges, range);
	last->end = range.end;
	return 0;
}
