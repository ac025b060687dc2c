/* SPDX-License-Identifier: Apache-2.0 */
#include "ranges.h"

#include <errno.h>
#include <stdlib.h>

int bede_ranges_add(struct bede_ranges *ranges, struct bede_range range)
{
	if (ranges->count >= BEDE_MOST_RANGES)
		return 0;
	if (ranges->count == ranges->size) {
		size_t size = ranges->size ? ranges->size * 2 : 256;
		struct bede_range *at = reallocarray(ranges->at, size, sizeof(*at));

		if (!at)
			return -ENOMEM;
		ranges->at = at;
		ranges->size = size;
	}
	ranges->at[ranges->count++] = range;
	return 0;
}
