/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A set-associative cache of 64-byte lines with true LRU replacement.
 *
 * Sets are chosen by a hash of the line's number, as the slices of a real last level cache are. So the number of
 * conflicts does not depend on which physical pages the guest's kernel happened to choose.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#define MODEL_LINE_SHIFT 6
#define MODEL_LINE (1U << MODEL_LINE_SHIFT)

struct model_cache {
	uint64_t sets;
	unsigned ways;
	uint64_t
		*lines; /* sets x ways line numbers, the most recently used first; UINT64_MAX where none is */
};

/* Allocates a cache of @bytes with @ways ways. Returns 0, -EINVAL if that is less than one set, or -ENOMEM. */
int model_cache_open(struct model_cache *cache, uint64_t bytes, unsigned ways);

void model_cache_close(struct model_cache *cache);

/* True if @line (an address divided by the size of a line) was in the cache. Afterwards it is in any case. */
bool model_cache_touch(struct model_cache *cache, uint64_t line);
