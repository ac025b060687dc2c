/* SPDX-License-Identifier: Apache-2.0 */
/*
 * debugfs lru_gen: each generation that is reported must be of a valid node, and no more generations may be
 * reported for a cgroup than the text has lines from the cgroup's first line on. The input's first line is
 * the cgroup's path, with or without its inode before that.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
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

/* The number of lines from the first one that names path on. */
static uint64_t lines_from(const char *text, size_t size, const char *path)
{
	char head[LONGEST + 3];
	int length = snprintf(head, sizeof(head), " %s\n", path);
	const char *at = size ? memmem(text, size, head, (size_t)length) : NULL;
	uint64_t lines = 0;

	for (; at && (at = memchr(at, '\n', size - (size_t)(at - text))); at++)
		lines++;
	return lines;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *newline = memchr(data, '\n', size < LONGEST ? size : LONGEST);
	char path[LONGEST + 1] = "", *rest = path;
	uint64_t ours = 0, first = 0, inode = 0;

	if (newline) {
		memcpy(path, data, (size_t)(newline - data));
		size -= (size_t)(newline - data) + 1;
		data = newline + 1;
		inode = strtoull(path, &rest, 10);
	}
	const char *text = (const char *)data;
	int err = bede_parse_lru_gen(text, size, rest, inode, count, &ours);

	MUST(!err || err == -EINVAL, "%d", err);
	/* The last line need not end in a newline; below a path at the very end there is nothing. */
	MUST(ours <= lines_from(text, size, rest), "%llu", (unsigned long long)ours);
	err = bede_parse_lru_gen(text, size, rest, inode, stop, &first);
	MUST(first == (ours > 0) && (!ours || err == -ENOMEM), "went on after %d", err);
	return 0;
}
