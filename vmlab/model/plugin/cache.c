/* SPDX-License-Identifier: Apache-2.0 */
#include "cache.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Fibonacci hashing: Knuth, The Art of Computer Programming, volume 3, section 6.4. */
#define GOLDEN 0x9e3779b97f4a7c15ULL

int model_cache_open(struct model_cache *cache, uint64_t bytes, unsigned ways)
{
	memset(cache, 0, sizeof(*cache));
	if (!ways || bytes / MODEL_LINE < ways)
		return -EINVAL;
	cache->ways = ways;
	cache->sets = bytes / MODEL_LINE / ways;
	cache->lines = malloc(cache->sets * ways * sizeof(*cache->lines));
	if (!cache->lines)
		return -ENOMEM;
	memset(cache->lines, 0xff, cache->sets * ways * sizeof(*cache->lines));
	return 0;
}

void model_cache_close(struct model_cache *cache)
{
	free(cache->lines);
	cache->lines = NULL;
}

bool model_cache_touch(struct model_cache *cache, uint64_t line)
{
	uint64_t set = (uint64_t)((unsigned __int128)(line * GOLDEN) * cache->sets >> 64);
	uint64_t *ways = cache->lines + set * cache->ways;
	unsigned at = 0;

	while (at < cache->ways - 1 && ways[at] != line)
		at++;
	bool hit = ways[at] == line;

	memmove(ways + 1, ways, at * sizeof(*ways));
	ways[0] = line;
	return hit;
}
