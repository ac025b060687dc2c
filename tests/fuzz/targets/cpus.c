/* SPDX-License-Identifier: Apache-2.0 */
/* A list of CPUs, and a quota: any text gives a number that a kernel can have, or none. */
#include <limits.h>
#include <string.h>

#include "cpus.h"
#include "fuzz.h"

#define MOST 65536

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = strndup((const char *)data, size);

	MUST(text, "no memory");
	unsigned listed = bede_cpus_listed(text), quota = bede_cpus_by_quota(text);

	MUST(listed <= MOST, "%u", listed);
	MUST(quota <= MOST || quota == UINT_MAX, "%u", quota);
	free(text);
	return 0;
}
