/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which pages were seen in which windows of time, from samples of accesses; and what that adds to what is known of their heat.
 *
 * A sample stands for many accesses, so a page's share of windows with a sample is less than its share of windows with an access,
 * which is its heat (heat.h): sightings can tell that a page is hotter than was thought, and never that one is colder.
 */
#ifndef BEDE_SIGHTINGS_H
#define BEDE_SIGHTINGS_H

#include "ranges.h"
#include "vmas.h"

#define BEDE_SIGHTINGS_WINDOWS 64  /* most windows */
#define BEDE_SIGHTINGS_MOST 500000 /* most sightings; further ones are left out */

/* Zeroed memory, but for processes, count of these, and part, stands for none. */
struct bede_sightings {
	const struct bede_process *processes; /* whose memory it is; sightings of others are left out */
	size_t process_count;		      /* at most 32 */
	uint64_t part;			      /* bytes that are looked at as one: a page, or a huge page */
	uint64_t *at;
	size_t count, size;
};

/* Note one. Returns 0 or -ENOMEM. */
int bede_sightings_add(struct bede_sightings *sightings, int pid, uint64_t address, unsigned window);

/*
 * Raise the heat of what was seen, in ranges that do not overlap, to its share of the first so many windows, where it is lower.
 * The order of ranges stays. Where the list would become so long that there is little room for the next one, what was seen least
 * is left out. Returns 0 or -ENOMEM: then ranges are as they were.
 */
int bede_sightings_raise(struct bede_sightings *sightings, unsigned windows, struct bede_ranges *ranges);

void bede_sightings_free(struct bede_sightings *sightings);

#endif
