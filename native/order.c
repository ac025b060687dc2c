/* SPDX-License-Identifier: Apache-2.0 */
#include "order.h"

static int compare(const void *left, const void *right)
{
	const struct bede_range *a = left, *b = right;

	if (a->heat != b->heat)
		return a->heat < b->heat ? -1 : 1;
	if (a->pid != b->pid)
		return a->pid < b->pid ? -1 : 1;
	return (a->start > b->start) - (a->start < b->start);
}

static int by_address(const void *left, const void *right)
{
	const struct bede_range *a = left, *b = right;

	if (a->pid != b->pid)
		return a->pid < b->pid ? -1 : 1;
	return (a->start > b->start) - (a->start < b->start);
}

void bede_order_by_address(struct bede_ranges *ranges)
{
	if (ranges->count)
		qsort(ranges->at, ranges->count, sizeof(*ranges->at), by_address);
}

/* Add the parts of range to out, each with its heat. *next: the first of heat that may overlap range. */
static int split(struct bede_range range, const struct bede_ranges *heat, size_t *next,
		 struct bede_ranges *out)
{
	int err = 0;

	while (*next < heat->count &&
	       (heat->at[*next].pid < range.pid ||
		(heat->at[*next].pid == range.pid && heat->at[*next].end <= range.start)))
		(*next)++;
	for (size_t i = *next; i < heat->count && range.start < range.end && !err; i++) {
		const struct bede_range *one = &heat->at[i];
		struct bede_range part = range;

		if (one->pid != range.pid || one->start >= range.end)
			break;
		if (one->end <= range.start || one->end <= one->start)
			continue;
		if (one->start > range.start) {
			part.end = one->start;
			err = bede_ranges_add(out, part);
			part.start = one->start;
		}
		part.end = one->end < range.end ? one->end : range.end;
		part.heat = one->heat;
		err = err ? err : bede_ranges_add(out, part);
		range.start = part.end;
	}
	return err || range.start == range.end ? err : bede_ranges_add(out, range);
}

/* Join neighbours that are alike: each range costs a system call or two. ranges are sorted. */
static void join(struct bede_ranges *ranges)
{
	size_t last = 0;

	for (size_t i = 1; i < ranges->count; i++) {
		if (bede_ranges_continue(&ranges->at[last], &ranges->at[i]))
			ranges->at[last].end = ranges->at[i].end;
		else
			ranges->at[++last] = ranges->at[i];
	}
	ranges->count = ranges->count ? last + 1 : 0;
}

int bede_order(struct bede_ranges *ranges, const struct bede_ranges *heat)
{
	struct bede_ranges out = { 0 };
	size_t next = 0;
	int err = 0;

	if (heat->count && ranges->count) {
		bede_order_by_address(ranges);
		for (size_t i = 0; i < ranges->count && !err; i++)
			err = split(ranges->at[i], heat, &next, &out);
		free(ranges->at);
		*ranges = out;
	}
	if (ranges->count)
		qsort(ranges->at, ranges->count, sizeof(*ranges->at), compare);
	join(ranges);
	return err;
}

size_t bede_order_find(const struct bede_ranges *ranges, const struct bede_range *one)
{
	size_t low = 0, high = ranges->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (compare(&ranges->at[middle], one) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}
