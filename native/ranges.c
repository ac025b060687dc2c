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

/* Whether one comes before other, by process and address, and does not overlap it. */
static bool is_before(const struct bede_range *one, const struct bede_range *other)
{
	return one->pid < other->pid || (one->pid == other->pid && one->end <= other->start);
}

int bede_ranges_clip(struct bede_ranges *ranges, const struct bede_ranges *to)
{
	struct bede_ranges out = { 0 };
	size_t j = 0;
	int err = 0;

	for (size_t i = 0; i < ranges->count && !err; i++) {
		const struct bede_range *one = &ranges->at[i];

		while (j < to->count && is_before(&to->at[j], one))
			j++;
		for (size_t k = j; k < to->count && !err && !is_before(one, &to->at[k]); k++) {
			struct bede_range part = *one;

			part.start = one->start > to->at[k].start ? one->start : to->at[k].start;
			part.end = one->end < to->at[k].end ? one->end : to->at[k].end;
			err = bede_ranges_join(&out, part);
		}
	}
	free(ranges->at);
	*ranges = out;
	return err;
}
