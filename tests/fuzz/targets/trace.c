/* SPDX-License-Identifier: Apache-2.0 */
/* An event's format and a page of its records, with a 0 byte between: what is visited must have been in the page. */
#include <string.h>

#include "fuzz.h"
#include "trace.h"

static const char *const names[] = { "target_id", "start", "end", "nr_accesses", "nr_regions" };

static int visit(void *context, const uint64_t *values)
{
	(void)values;
	++*(size_t *)context;
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *middle = memchr(data, 0, size);
	struct bede_trace_format format = { .id = 734, .count = 1, .field = { { .offset = 8, .size = 8 } } };
	size_t visits = 0;

	if (!middle)
		return 0;
	size_t rest = size - (size_t)(middle - data) - 1;

	(void)bede_trace_parse_format((const char *)data, names, sizeof(names) / sizeof(*names), &format);
	if (!bede_trace_parse_page(middle + 1, rest, &format, visit, &visits))
		MUST(visits * 4 <= rest, "%zu records in %zu bytes", visits, rest);
	return 0;
}
