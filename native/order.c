/* SPDX-License-Identifier: Apache-2.0 */
#include "order.h"

#include <errno.h>
#include <stdlib.h>

#include "heat.h"
#include "units.h"

/* Bytes of shared memory: a smaller part that nobody uses is listed for one process only. */
#define SMALL (64 * 1024ULL)

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

static int by_place(const void *left, const void *right)
{
	const struct bede_range *a = left, *b = right;
	int64_t owner = bede_range_owner(a), other = bede_range_owner(b);

	if (owner != other)
		return owner < other ? -1 : 1;
	if (bede_range_from(a) != bede_range_from(b))
		return bede_range_from(a) < bede_range_from(b) ? -1 : 1;
	return (a->pid > b->pid) - (a->pid < b->pid);
}

/* Sort unless they are: what is measured mostly comes in order, and sorting it anew took a third of a measurement's time. */
static void sort(struct bede_range *at, size_t count, int (*by)(const void *, const void *))
{
	for (size_t i = 1; i < count; i++) {
		if (by(&at[i - 1], &at[i]) > 0) {
			qsort(at, count, sizeof(*at), by);
			return;
		}
	}
}

/* Sort by heat, then by process and address: into a place for each heat, which keeps the order that there was. */
static int sort_by_heat(struct bede_ranges *ranges)
{
	size_t first[BEDE_HEAT_POINTS + 2] = { 0 };
	struct bede_range *out = reallocarray(NULL, ranges->count + 1, sizeof(*out));

	if (!out)
		return -ENOMEM;
	for (size_t i = 0; i < ranges->count; i++)
		first[ranges->at[i].heat / BEDE_HEAT_POINT + 1]++;
	for (unsigned points = 0; points <= BEDE_HEAT_POINTS; points++)
		first[points + 1] += first[points];
	for (size_t i = 0; i < ranges->count; i++)
		out[first[ranges->at[i].heat / BEDE_HEAT_POINT]++] = ranges->at[i];
	/* Now first has where each heat ends. */
	for (unsigned points = 0; points <= BEDE_HEAT_POINTS; points++) {
		size_t start = points ? first[points - 1] : 0;

		sort(out + start, first[points] - start, by_address);
	}
	free(ranges->at);
	ranges->at = out;
	ranges->size = ranges->count + 1;
	return 0;
}

void bede_order_by_address(struct bede_ranges *ranges)
{
	sort(ranges->at, ranges->count, by_address);
}

void bede_order_by_place(struct bede_ranges *ranges)
{
	sort(ranges->at, ranges->count, by_place);
}

/* Add the parts of range to out, each with its heat. *next: the first of heat that may overlap range. */
static int split(struct bede_range range, const struct bede_ranges *heat, bool by_page,
		 const struct bede_forecast *forecast, size_t *next, struct bede_ranges *out)
{
	int err = 0;

	while (*next < heat->count && bede_range_is_before(&heat->at[*next], &range))
		(*next)++;
	for (size_t i = *next; i < heat->count && range.start < range.end && !err; i++) {
		const struct bede_range *one = &heat->at[i];
		uint64_t start = bede_range_from(one) + range.shift, end = bede_range_to(one) + range.shift;
		bool others = by_page && range.object && one->pid != range.pid &&
			      (one->heat || one->end - one->start < SMALL);
		struct bede_range part = range;

		if (bede_range_is_before(&range, one))
			break;
		if (end <= range.start || end <= start)
			continue;
		if (start > range.start) {
			part.end = start;
			err = bede_ranges_join(out, part);
			part.start = start;
		}
		part.end = minimum(end, range.end);
		/* Whole points: what differs by less is one range, if it can be. */
		part.heat = (unsigned)minimum(forecast ? bede_forecast_of(forecast, one) : one->heat,
					      BEDE_HEAT_ALWAYS) +
			    BEDE_HEAT_POINT / 2;
		part.heat -= part.heat % BEDE_HEAT_POINT;
		err = err || others ? err : bede_ranges_join(out, part);
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

int bede_order(struct bede_ranges *ranges, const struct bede_ranges *heat, bool by_page,
	       const struct bede_forecast *forecast)
{
	struct bede_ranges out = { 0 };
	size_t next = 0;
	int err = 0;

	if (heat->count && ranges->count) {
		bede_order_by_place(ranges);
		for (size_t i = 0; i < ranges->count && !err; i++)
			err = split(ranges->at[i], heat, by_page, forecast, &next, &out);
		free(ranges->at);
		*ranges = out;
	}
	err = err ? err : sort_by_heat(ranges);
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
