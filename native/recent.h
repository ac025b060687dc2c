/* SPDX-License-Identifier: Apache-2.0 */
/* Which pages something was done to in the last seconds, so that it is not undone, or tried again, at once. Opens no files. */
#ifndef BEDE_RECENT_H
#define BEDE_RECENT_H

#include <stdbool.h>
#include <stdint.h>

#define BEDE_RECENT 65536 /* most pages that are remembered; a new one replaces an old one */
#define BEDE_RECENT_US 10000000

/* Zeroed memory is an empty one. */
struct bede_recent {
	struct {
		uint64_t key;
		uint64_t at_us;
	} *at;
};

/*
 * What a page is remembered by: its owner and its place there (ranges.h), hashed. Two pages with one hash are taken for one: then
 * one waits ten seconds.
 */
uint64_t bede_recent_key(int64_t owner, uint64_t place);

/* Remember the page with that key. If memory is short, it is forgotten. */
void bede_recent_note(struct bede_recent *recent, uint64_t key, uint64_t now_us);

/* Whether it was noted in the last BEDE_RECENT_US. */
bool bede_recent_has(const struct bede_recent *recent, uint64_t key, uint64_t now_us);

void bede_recent_free(struct bede_recent *recent);

#endif
