/*
 * debugfs lru_gen: each generation that is shown is of a node that may be asked for, and what one
 * cgroup shows is a part of what the root shows. The input's first line is the cgroup's path.
 */
#include <errno.h>
#include <string.h>

#include "fuzz.h"
#include "kfile.h"

#define LONGEST 64

static int count(void *context, uint64_t id, int node, uint64_t seq, uint64_t anon, uint64_t file)
{
	(void)id;
	(void)seq;
	(void)anon;
	(void)file;
	MUST(node >= 0 && node < BEDE_MAX_NODES, "node %d", node);
	++*(uint64_t *)context;
	return 0;
}

static int stop(void *context, uint64_t id, int node, uint64_t seq, uint64_t anon, uint64_t file)
{
	count(context, id, node, seq, anon, file);
	return -ENOMEM;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *newline = memchr(data, '\n', size < LONGEST ? size : LONGEST);
	char path[LONGEST + 1] = "";
	uint64_t all = 0, ours = 0, first = 0;

	if (newline) {
		memcpy(path, data, (size_t)(newline - data));
		size -= (size_t)(newline - data) + 1;
		data = newline + 1;
	}
	const char *text = (const char *)data;
	int err = bede_parse_lru_gen(text, size, path, count, &ours);
	int err_all = bede_parse_lru_gen(text, size, "/", count, &all);

	MUST(!err || err == -EINVAL, "%d", err);
	if (!err && !err_all && path[0] == '/')
		MUST(ours <= all, "%llu of %llu", (unsigned long long)ours, (unsigned long long)all);
	err = bede_parse_lru_gen(text, size, path, stop, &first);
	MUST(first == (ours > 0) && (!ours || err == -ENOMEM), "went on after %d", err);
	return 0;
}
