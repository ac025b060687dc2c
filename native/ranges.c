/* SPDX-License-Identifier: Apache-2.0 */
#include "ranges.h"

#include <errno.h>
#include <stdlib.h>

#include "grow.h"

int bede_ranges_add(struct bede_ranges *ranges, struct bede_range range)
{
	if (ranges->count >= BEDE_MOST_RANGES)
		return 0;
	struct bede_range *at = bede_grown(ranges->at, ranges->count, &ranges->size, 256, sizeof(*at));

	if (!at)
		return -ENOMEM;
	ranges->at = at;
	ranges->at[ranges->count++] = range;
	return 0;
}

bool bede_ranges_continue(const struct bede_range *one, const struct bede_range *next)
{
	return one->pid == next->pid && one->heat == next->heat && one->windows == next->windows &&
	       one->end == next->start && one->unshared_only == next->unshared_only &&
	       one->nodes == next->nodes && one->object == next->object && one->shift == next->shift;
}

int bede_ranges_join(struct bede_ranges *ranges, struct bede_range range)
{
	struct bede_range *last = ranges->count ? &ranges->at[ranges->count - 1] : NULL;

	if (!last || !bede_ranges_continue(last, &range))
		return bede_ranges_add(ranges, range);
	last->end = range.end;
	return 0;
}

/* Add what two ranges of one owner have in common, from a place on: the heat of one, the process of the other. */
static int add_common(struct bede_ranges *out, const struct bede_range *one, const struct bede_range *other,
		      uint64_t *from)
{
	uint64_t first = bede_range_from(other), end = bede_range_to(other);
	struct bede_range part = *one;

	first = first > *from ? first : *from;
	end = end < bede_range_to(one) ? end : bede_range_to(one);
	if (first >= end)
		return 0;
	part.pid = other->pid;
	part.shift = other->shift;
	part.start = first + part.shift;
	part.end = end + part.shift;
	*from = end;
	return bede_ranges_join(out, part);
}

/* Of the ranges from at on that one may overlap: the first of its own process. None: at. */
static size_t own(const struct bede_range *one, const struct bede_ranges *to, size_t at)
{
	for (size_t k = at; one->object && k < to->count && !bede_range_is_before(one, &to->at[k]); k++)
		if (to->at[k].pid == one->pid && to->at[k].shift == one->shift &&
		    !bede_range_is_before(&to->at[k], one))
			return k;
	return at;
}

int bede_ranges_clip(struct bede_ranges *ranges, const struct bede_ranges *to)
{
	struct bede_ranges out = { 0 };
	size_t at = 0;
	int err = 0;

	for (size_t i = 0; i < ranges->count && !err; i++) {
		const struct bede_range *one = &ranges->at[i];
		uint64_t from = bede_range_from(one);

		while (at < to->count && bede_range_is_before(&to->at[at], one))
			at++;
		for (size_t k = own(one, to, at); k < to->count && !err && from < bede_range_to(one) &&
						  !bede_range_is_before(one, &to->at[k]);
		     k++)
			err = add_common(&out, one, &to->at[k], &from);
	}
	free(ranges->at);
	*ranges = out;
	return err;
}
