/* SPDX-License-Identifier: Apache-2.0 */
#include "shared.h"

#include <stdlib.h>

#include "heat.h"
#include "order.h"
#include "units.h"

/* Leave what lies in vmas, and note whose memory it is. */
static int place(struct bede_ranges *measured, const struct bede_ranges *vmas)
{
	struct bede_ranges out = { 0 };
	size_t at = 0;
	int err = 0;

	for (size_t i = 0; i < vmas->count && !err; i++) {
		const struct bede_range *vma = &vmas->at[i];

		while (at < measured->count &&
		       (measured->at[at].pid < vma->pid ||
			(measured->at[at].pid == vma->pid && measured->at[at].end <= vma->start)))
			at++;
		for (size_t k = at; k < measured->count && !err; k++) {
			struct bede_range part = measured->at[k];

			if (part.pid != vma->pid || part.start >= vma->end)
				break;
			part.start = part.start > vma->start ? part.start : vma->start;
			part.end = minimum(part.end, vma->end);
			part.object = vma->object;
			part.shift = vma->shift;
			err = part.start < part.end ? bede_ranges_join(&out, part) : 0;
		}
	}
	free(measured->at);
	*measured = out;
	return err;
}

void bede_shared_limit(struct bede_ranges *ranges)
{
	uint64_t ends[BEDE_MOST_SHARERS];
	int64_t owner = 0;
	size_t count = 0;

	bede_order_by_place(ranges);
	for (size_t i = 0; i < ranges->count; i++) {
		struct bede_range *one = &ranges->at[i];
		size_t left = 0;

		if (!one->object)
			continue;
		for (size_t j = 0; j < count && bede_range_owner(one) == owner; j++)
			if (ends[j] > bede_range_from(one))
				ends[left++] = ends[j];
		owner = bede_range_owner(one);
		count = left;
		if (count < BEDE_MOST_SHARERS) {
			ends[count++] = bede_range_to(one);
			continue;
		}
		one->object = 0;
		one->shift = 0;
	}
}

/* The parts that have a place in common, the one at from. */
struct sharers {
	struct bede_range at[BEDE_MOST_SHARERS];
	size_t count;
	uint64_t from;
};

/* Where the first of them ends. */
static uint64_t first_end(const struct sharers *sharers)
{
	uint64_t end = UINT64_MAX;

	for (size_t i = 0; i < sharers->count; i++)
		end = minimum(end, bede_range_to(&sharers->at[i]));
	return end;
}

/* What they have in common, up to a place. */
static struct bede_range common(const struct sharers *sharers, uint64_t to)
{
	const struct bede_range *most = &sharers->at[0];
	double unused = 1;

	for (size_t i = 0; i < sharers->count; i++) {
		const struct bede_range *one = &sharers->at[i];

		unused *= 1 - (double)one->heat / BEDE_HEAT_ALWAYS;
		most = one->heat > most->heat ? one : most;
	}
	struct bede_range part = *most;

	part.heat = (unsigned)((1 - unused) * BEDE_HEAT_ALWAYS + 0.5);
	part.start = sharers->from + part.shift;
	part.end = to + part.shift;
	return part;
}

/* Add what they have in common up to a place, and go on from there, without those that end there. */
static int advance(struct sharers *sharers, uint64_t to, struct bede_ranges *out)
{
	bool some = sharers->count && to > sharers->from;
	int err = some ? bede_ranges_join(out, common(sharers, to)) : 0;
	size_t left = 0;

	for (size_t i = 0; i < sharers->count; i++)
		if (bede_range_to(&sharers->at[i]) > to)
			sharers->at[left++] = sharers->at[i];
	sharers->count = left;
	sharers->from = to;
	return err;
}

/* Whether one of them ends before next begins. */
static bool one_ends_before(const struct sharers *sharers, const struct bede_range *next)
{
	return sharers->count && (bede_range_owner(&sharers->at[0]) != bede_range_owner(next) ||
				  first_end(sharers) <= bede_range_from(next));
}

int bede_shared_merge(struct bede_ranges *measured, const struct bede_ranges *vmas)
{
	struct bede_ranges out = { 0 };
	struct sharers sharers = { 0 };
	int err = place(measured, vmas);

	bede_order_by_place(measured);
	for (size_t i = 0; i < measured->count && !err; i++) {
		const struct bede_range *next = &measured->at[i];

		while (one_ends_before(&sharers, next) && !err)
			err = advance(&sharers, first_end(&sharers), &out);
		err = err ? err : advance(&sharers, bede_range_from(next), &out);
		if (sharers.count < BEDE_MOST_SHARERS)
			sharers.at[sharers.count++] = *next;
	}
	while (sharers.count && !err)
		err = advance(&sharers, first_end(&sharers), &out);
	free(measured->at);
	*measured = out;
	return err;
}
