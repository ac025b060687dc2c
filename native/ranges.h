/* SPDX-License-Identifier: Apache-2.0 */
/* Parts of processes' memory, in a list that grows. */
#ifndef BEDE_RANGES_H
#define BEDE_RANGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BEDE_MOST_RANGES 262144 /* most ranges in a list; further ones are left out */

/* A part of the address space of one process. */
struct bede_range {
	int pid;
	unsigned heat;	    /* how often the range was in use: see heat.h and scores.h */
	bool unshared_only; /* skip a file's pages that other processes map, too: they may be others' */
	uint64_t nodes;	    /* bit n: some of it was on node n when it was read */
	uint64_t start;
	uint64_t end;
};

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
 * Leave of ranges only what also lies in ranges of to, none of which overlap. Both are sorted by process and address. Returns 0, or
 * -ENOMEM: then some are lost.
 */
int bede_ranges_clip(struct bede_ranges *ranges, const struct bede_ranges *to);

#endif
