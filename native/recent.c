/* SPDX-License-Identifier: Apache-2.0 */
#include "recent.h"

#include <stdlib.h>

#include "units.h"

/* Never 0, which stands for no page. Two pages with one hash are taken for one: then one waits ten seconds. */
static uint64_t hash(int pid, uint64_t address)
{
	uint64_t value = (address / PAGE) ^ ((uint64_t)pid << 40);

	/* The finalizer of MurmurHash3: each bit of the input changes half of the output's. */
	value = (value ^ value >> 33) * 0xff51afd7ed558ccdULL;
	value = (value ^ value >> 33) * 0xc4ceb9fe1a85ec53ULL;
	return (value ^ value >> 33) | 1;
}

void bede_recent_note(struct bede_recent *recent, int pid, uint64_t address, uint64_t now_us)
{
	uint64_t page = hash(pid, address);

	if (!recent->at)
		recent->at = calloc(BEDE_RECENT, sizeof(*recent->at));
	if (!recent->at)
		return;
	recent->at[page / 2 % BEDE_RECENT].page = page;
	recent->at[page / 2 % BEDE_RECENT].at_us = now_us;
}

bool bede_recent_has(const struct bede_recent *recent, int pid, uint64_t address, uint64_t now_us)
{
	uint64_t page = hash(pid, address);

	return recent->at && recent->at[page / 2 % BEDE_RECENT].page == page &&
	       now_us - recent->at[page / 2 % BEDE_RECENT].at_us < BEDE_RECENT_US;
}

void bede_recent_free(struct bede_recent *recent)
{
	free(recent->at);
	recent->at = NULL;
}
