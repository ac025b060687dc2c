/* SPDX-License-Identifier: Apache-2.0 */
#include "sightings.h"

#include <errno.h>
#include <stdlib.h>

#include "grow.h"
#include "heat.h"
#include "units.h"

/*
 * A sighting is one number, so that many are sorted soon: the process's index in the list, the page, and the window. Addresses
 * of processes have at most 56 bits.
 */
#define WINDOW_BITS 6
#define PAGE_BITS (56 - 12)
#define MOST_PROCESSES (1U << (64 - WINDOW_BITS - PAGE_BITS))

_Static_assert(BEDE_SIGHTINGS_WINDOWS == 1 << WINDOW_BITS, "windows have no room in a sighting");
_Static_assert(BEDE_HEAT_TARGETS <= MOST_PROCESSES, "processes have no room in a sighting");

static uint64_t key(size_t process, uint64_t address, unsigned window)
{
	return (uint64_t)process << (PAGE_BITS + WINDOW_BITS) | address / PAGE << WINDOW_BITS | window;
}

/* The same for all sightings of a part of a process's memory. */
static uint64_t place(uint64_t sighting)
{
	return sighting >> WINDOW_BITS;
}

static uint64_t address_of(uint64_t sighting)
{
	return (place(sighting) & ((1ULL << PAGE_BITS) - 1)) * PAGE;
}

/* The index of the process with that pid, or process_count. */
static size_t find(const struct bede_sightings *sightings, int pid)
{
	size_t i = 0;

	while (i < sightings->process_count && sightings->processes[i].pid != pid)
		i++;
	return i;
}

int bede_sightings_add(struct bede_sightings *sightings, int pid, uint64_t address, unsigned window)
{
	size_t process = find(sightings, pid);

	if (process == sightings->process_count || window >= BEDE_SIGHTINGS_WINDOWS ||
	    address >> (PAGE_BITS + 12) || sightings->count >= BEDE_SIGHTINGS_MOST)
		return 0;
	uint64_t *at = bede_grown(sightings->at, sightings->count, &sightings->size, 4096, sizeof(*at));

	if (!at)
		return -ENOMEM;
	sightings->at = at;
	sightings->at[sightings->count++] = key(process, address & ~(sightings->part - 1), window);
	return 0;
}

static int compare(const void *left, const void *right)
{
	const uint64_t *a = left, *b = right;

	return (*a > *b) - (*a < *b);
}

/* Sort them, and leave one of those of one part in one window, of the first so many. */
static void tidy(struct bede_sightings *sightings, unsigned windows)
{
	size_t out = 0;

	if (sightings->count)
		qsort(sightings->at, sightings->count, sizeof(*sightings->at), compare);
	for (size_t i = 0; i < sightings->count; i++)
		if (sightings->at[i] % BEDE_SIGHTINGS_WINDOWS < windows &&
		    (!out || sightings->at[i] != sightings->at[out - 1]))
			sightings->at[out++] = sightings->at[i];
	sightings->count = out;
}

/* In how many windows the part was seen whose first sighting is at index at. */
static unsigned times(const struct bede_sightings *sightings, size_t at)
{
	unsigned count = 0;

	for (size_t i = at; i < sightings->count && place(sightings->at[i]) == place(sightings->at[at]); i++)
		count++;
	return count;
}

/* How often a part must have been seen so that there is room in the list for all such parts: each divides a range into three. */
static unsigned least_times(const struct bede_sightings *sightings, size_t ranges)
{
	size_t by_times[BEDE_SIGHTINGS_WINDOWS + 1] = { 0 };
	size_t room = BEDE_MOST_RANGES / 2 > ranges ? (BEDE_MOST_RANGES / 2 - ranges) / 2 : 0;
	unsigned least = BEDE_SIGHTINGS_WINDOWS + 1, count;

	for (size_t i = 0; i < sightings->count; i += count) {
		count = times(sightings, i);
		by_times[count]++;
	}
	while (least > 1 && by_times[least - 1] <= room)
		room -= by_times[--least];
	return least;
}

/* The index of the first sighting that is not before that key. */
static size_t first_from(const struct bede_sightings *sightings, uint64_t from)
{
	size_t low = 0, high = sightings->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (sightings->at[middle] < from)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static int add(struct bede_ranges *out, struct bede_range part, uint64_t start, uint64_t end)
{
	part.start = start;
	part.end = end;
	return start < end ? bede_ranges_join(out, part) : 0;
}

/* Add one range to out, divided where parts of it were seen at least so often. */
static int raise_one(const struct bede_sightings *sightings, const struct bede_range *range, unsigned windows,
		     unsigned least, struct bede_ranges *out)
{
	size_t process = find(sightings, range->pid);
	uint64_t at = range->start, last = minimum(range->end, 1ULL << (PAGE_BITS + 12));
	unsigned count;
	int err = 0;

	if (process == sightings->process_count || range->start >= last)
		return bede_ranges_add(out, *range);
	/* A part may begin before the range does. */
	size_t i = first_from(sightings, key(process, range->start & ~(sightings->part - 1), 0));

	for (; i < sightings->count &&
	       sightings->at[i] < key(process, last - 1, 0) + BEDE_SIGHTINGS_WINDOWS && !err;
	     i += count) {
		uint64_t start = address_of(sightings->at[i]);
		uint64_t end = minimum(start + sightings->part, range->end);
		struct bede_range hot = *range;

		count = times(sightings, i);
		hot.heat = count * BEDE_HEAT_ALWAYS / windows;
		if (count < least || hot.heat <= range->heat)
			continue;
		start = start > range->start ? start : range->start;
		err = add(out, *range, at, start);
		err = err ? err : add(out, hot, start, end);
		at = end;
	}
	return err ? err : add(out, *range, at, range->end);
}

int bede_sightings_raise(struct bede_sightings *sightings, unsigned windows, struct bede_ranges *ranges)
{
	struct bede_ranges out = { 0 };
	int err = 0;

	windows = windows < BEDE_SIGHTINGS_WINDOWS ? windows : BEDE_SIGHTINGS_WINDOWS;
	if (!windows)
		return 0;
	tidy(sightings, windows);
	unsigned least = least_times(sightings, ranges->count);

	for (size_t i = 0; i < ranges->count && !err; i++)
		err = raise_one(sightings, &ranges->at[i], windows, least, &out);
	if (err) {
		free(out.at);
		return err;
	}
	free(ranges->at);
	*ranges = out;
	return 0;
}

void bede_sightings_free(struct bede_sightings *sightings)
{
	free(sightings->at);
	sightings->at = NULL;
	sightings->count = sightings->size = 0;
}
