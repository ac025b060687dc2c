/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A container's memory in the order of its heat, and two hands that go through it: one from the coldest part on, one
 * from the hottest.
 */
#ifndef BEDE_SEARCH_H
#define BEDE_SEARCH_H

#include <stdbool.h>

#include "pages.h"

/* Heat that was measured so long ago is useless, if it could have been measured again. */
#define BEDE_STALE_US 15000000

/* Where a hand continues in the list of ranges. */
struct bede_hand {
	size_t index; /* of the range, counted from the cold end, or for hot from the hot one */
	uint64_t at;  /* the next address in that range, or 0: its start */
	bool moved;   /* something was moved since the round began */
};

struct bede_search {
	int dir; /* the cgroup's directory; stays the caller's */
	uint64_t local_mask;
	bool (*stopped)(void *context); /* ends what takes long */
	void *context;
	struct bede_vmas vmas;
	struct bede_ranges heat;	      /* what was measured, or averaged; by owner and place */
	const struct bede_forecast *forecast; /* what that says of the future, or NULL; not owned */
	bool by_page;			      /* see struct bede_heat */
	uint64_t heat_us;		      /* when that was, or 0 */
	uint64_t due_us;		      /* when it is to be measured again */
	uint64_t begun_us;		      /* when the last reading of the VMAs began */
	uint64_t read_us;		      /* when the VMAs are due to be read again ... */
	uint64_t earliest_us; /* ... and when they may be read at the earliest: reading takes CPU time */
	struct bede_hand cold, hot;
};

/*
 * Read the VMAs again if the list is old, or now is set; not before ten times as long as the last reading took. Both
 * hands keep their place where possible. Returns whether the VMAs were read.
 */
bool bede_search_refresh(struct bede_search *search, bool now);

/*
 * The two halves of that, whenever they are called for: read the VMAs; and put them in the
 * order of the heat. Heat of what is not in memory any more is forgotten.
 */
void bede_search_read(struct bede_search *search);
void bede_search_sort(struct bede_search *search);

/* Put both hands back to their ends. */
void bede_search_rewind(struct bede_search *search);

/*
 * Collect in pages the next ones in the hand's order that are on nodes of mask, no hotter than limit (or, with hot, no
 * colder), and of one process: until there are enough bytes, or no space. Returns 1 if there are any, 0 at the end of
 * the round, or -1 if the time is over.
 */
int bede_search_collect(struct bede_search *search, struct bede_pages *pages, bool hot, uint64_t mask,
			unsigned limit, uint64_t enough, uint64_t until_us);

void bede_search_free(struct bede_search *search);

#endif
