/* SPDX-License-Identifier: Apache-2.0 */
/* What pages.h does with the list alone: it opens no files, and calls no kernel. */
#include "pages.h"

#include <string.h>

void bede_pages_clear(struct bede_pages *pages)
{
	pages->count = 0;
}

bool bede_pages_fit(const struct bede_pages *pages, const struct bede_range *range)
{
	return !pages->count || (pages->pid == range->pid && pages->unshared_only == range->unshared_only);
}

void bede_pages_drop(struct bede_pages *pages, size_t first, size_t count)
{
	size_t left = pages->count - first - count, from = first + count;

	memmove(pages->at + first, pages->at + from, left * sizeof(*pages->at));
	memmove(pages->size + first, pages->size + from, left * sizeof(*pages->size));
	memmove(pages->heat + first, pages->heat + from, left * sizeof(*pages->heat));
	memmove(pages->key + first, pages->key + from, left * sizeof(*pages->key));
	pages->count -= count;
}

uint64_t bede_pages_bytes(const struct bede_pages *pages)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < pages->count; i++)
		bytes += pages->size[i];
	return bytes;
}

size_t bede_pages_within(const struct bede_pages *pages, uint64_t bytes)
{
	size_t count = 0;

	while (count < pages->count && pages->size[count] <= bytes)
		bytes -= pages->size[count++];
	return count;
}
