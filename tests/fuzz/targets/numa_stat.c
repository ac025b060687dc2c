/* SPDX-License-Identifier: Apache-2.0 */
/* memory.numa_stat: a newline at the end must change nothing, and no list may count twice. */
#include <errno.h>
#include <string.h>

#include "fuzz.h"
#include "kfile.h"

static void same_with_a_newline(const uint8_t *data, size_t size, int err, const struct bede_numa *numa)
{
	char *text = malloc(size + 1);
	struct bede_numa again;

	MUST(text, "no memory");
	memcpy(text, data, size);
	text[size] = '\n';
	MUST(bede_parse_numa_stat(text, size + 1, &again) == err, "was %d", err);
	MUST(err || !memcmp(numa, &again, sizeof(again)), "another value");
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bede_numa numa;
	int err = bede_parse_numa_stat((const char *)data, size, &numa);

	MUST(!err || err == -EINVAL, "%d", err);
	same_with_a_newline(data, size, err, &numa);
	for (int node = 0; !err && node < BEDE_MAX_NODES; node++)
		MUST(numa.file[node] <= numa.lru[node], "node %d", node);
	return 0;
}
