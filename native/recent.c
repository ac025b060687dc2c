/* SPDX-License-Identifier: Apache-2.0 */
#include "recent.h"

#include <stdlib.h>

#include "units.h"

/* Never 0, which stands for no page. */
uint64_t bede_recent_key(int64_t owner, uint64_t place)
{
	uint64_t value = (place / PAGE) ^ ((uint64_t)owner << 36);

	/* The finalizer of MurmurHash3: each bit of the input changes half of the output's. */
	value = (value ^ value >> 33) * 0xff51afd7ed558ccdULL;
	value = (value ^ value >> 33) * 0xc4ceb9fe1a85ec53ULL;
	return (value ^ value >> 33) | 1;
}

void bede_recent_note(struct bede_recent *recent, uint64_t key, uint64_t now_us)
{
	if (!recent->at)
		recent->at = calloc(BEDE_RECENT, sizeof(*recent->at));
	if (!recent->at)
		return;
	recent->at[key / 2 % BEDE_RECENT].key = key;
	recent->at[key / 2 % BEDE_RECENT].at_us = now_us;
}

bool bede_recent_has(const struct bede_recent *recent, uint64_t key, uint64_t now_us)
{
	return recent->at && recent->at[key / 2 % BEDE_RECENT].key == key &&
	       now_us - recent->at[key / 2 % BEDE_RECENT].at_us < BEDE_RECENT_US;
}

void bede_recent_free(struct bede_recent *recent)
{
	free(recent->at);
	recent->at = NULL;
}
