/* SPDX-License-Identifier: Apache-2.0 */
/* Parts of processes' memory, in a list that grows. */
#ifndef BEDE_RANGES_H
#define BEDE_RANGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BEDE_MOST_RANGES 262144 /* most ranges in a list; further ones are left out */

/*
 * The heat of what was used in each window. The unit is that small since an average of hundreds of windows changes by little with
 * each of them, and what is lost by rounding adds up.
 */
#define BEDE_HEAT_ALWAYS 1000000u
#define BEDE_HEAT_POINT 10000u /* a hundredth of that: differences that are less do not matter */
#define BEDE_HEAT_POINTS (BEDE_HEAT_ALWAYS / BEDE_HEAT_POINT)
#define BEDE_UNKNOWN_HEAT (4 * BEDE_HEAT_POINT) /* of what was not measured: neither cold nor hot */

/* A part of the address space of one process. */
struct bede_range {
	int pid;
	/* The file or shared memory that is mapped here, by a number of its own; 0: it is the process's own memory. */
	uint32_t object;
	unsigned heat;	    /* how often the range was in use: see heat.h and scores.h */
	bool unshared_only; /* skip a file's pages that other processes map, too: they may be others' */
	uint16_t windows;   /* of scores: how many windows the heat is the average of; else 0 */
	uint64_t nodes;	    /* bit n: some of it was on node n when it was read */
	uint64_t start;
	uint64_t end;
	uint64_t shift; /* what an address here is more than the place in the object; 0 without one */
};

/* Whose memory it is, whichever process it was found by: a process's, or an object's, which is beyond all pids. */
static inline int64_t bede_range_owner(const struct bede_range *range)
{
	return range->object ? (1LL << 32) + range->object : range->pid;
}

/* Where it begins, and where it ends, in its owner's memory. */
static inline uint64_t bede_range_from(const struct bede_range *range)
{
	return range->start - range->shift;
}

static inline uint64_t bede_range_to(const struct bede_range *range)
{
	return range->end - range->shift;
}

/* Whether one comes before other, by owner and place, and does not overlap it. */
static inline bool bede_range_is_before(const struct bede_range *one, const struct bede_range *other)
{
	int64_t a = bede_range_owner(one), b = bede_range_owner(other);

	return a < b || (a == b && bede_range_to(one) <= bede_range_from(other));
}

struct bede_ranges {
	struct bede_range *at;
	size_t count;
	size_t size;
};

/* Append one range. Returns 0 or -ENOMEM. */
int bede_ranges_add(struct bede_ranges *ranges, struct bede_range range);

/* Whether next begins where one ends, and is like it. */
bool bede_ranges_continue(const struct bede_range *one, const struct bede_range *next);

/* Append one range, or make the last one longer if this one continues it. Returns as above. */
int bede_ranges_join(struct bede_ranges *ranges, struct bede_range range);

/*
 * Leave of ranges only what also lies in ranges of to. Both are sorted by owner and place; only to may have several for one place,
 * of several processes. A range that its process does not have any more gets one that has. Returns 0, or -ENOMEM: then some are lost.
 */
int bede_ranges_clip(struct bede_ranges *ranges, const struct bede_ranges *to);

#endif
