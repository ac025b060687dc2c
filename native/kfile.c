/* SPDX-License-Identifier: Apache-2.0 */
#include "kfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

int bede_read(int fd, struct bede_buffer *out)
{
	return bede_read_most(fd, SIZE_MAX, out);
}

int bede_read_most(int fd, size_t most, struct bede_buffer *out)
{
	out->length = 0;
	while (out->length < most) {
		if (out->size - out->length < 4096 + 1) {
			size_t size = out->size ? out->size * 2 : 16384;
			char *text = realloc(out->text, size);

			if (!text)
				return -ENOMEM;
			out->text = text;
			out->size = size;
		}
		ssize_t got =
			pread(fd, out->text + out->length, out->size - out->length - 1, (off_t)out->length);

		if (got < 0) {
			if (errno == EINTR)
				continue;
			return -errno;
		}
		if (got == 0)
			break;
		out->length += (size_t)got;
	}
	out->text[out->length] = '\0';
	return 0;
}

int bede_write_u64(int fd, uint64_t value)
{
	char text[32] = "max";
	int length = 3;

	if (value != UINT64_MAX)
		length = snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
	if (pwrite(fd, text, (size_t)length, 0) < 0)
		return -errno;
	return 0;
}

int bede_write_text(int dir, const char *path, const char *text)
{
	BEDE_FD fd = openat(dir, path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);

	return fd < 0 || write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

/* A cursor over one line. Nothing reads at end or beyond it, whatever the text is. */
struct cursor {
	const char *at;
	const char *end;
};

static void skip_blanks(struct cursor *line)
{
	while (line->at < line->end && (*line->at == ' ' || *line->at == '\t'))
		line->at++;
}

static bool take_word(struct cursor *line, const char *word)
{
	size_t length = strlen(word);

	if ((size_t)(line->end - line->at) < length || memcmp(line->at, word, length))
		return false;
	line->at += length;
	return true;
}

static bool take_u64(struct cursor *line, uint64_t *out)
{
	const char *start = line->at;
	uint64_t value = 0;

	while (line->at < line->end && *line->at >= '0' && *line->at <= '9') {
		uint64_t digit = (uint64_t)(*line->at - '0');

		if (value > (UINT64_MAX - digit) / 10)
			return false;
		value = value * 10 + digit;
		line->at++;
	}
	*out = value;
	return line->at != start;
}

int bede_read_u64(int fd, uint64_t *out)
{
	char text[32];
	ssize_t got = pread(fd, text, sizeof(text), 0);

	if (got < 0)
		return -errno;
	struct cursor line = { text, text + got };

	if (take_word(&line, "max")) {
		*out = UINT64_MAX;
		return 0;
	}
	return take_u64(&line, out) ? 0 : -EINVAL;
}

/* False on overflow: a wrapped sum would be small, and the container would seem to be below its bound. */
static bool add(uint64_t *sum, uint64_t part)
{
	return !__builtin_add_overflow(*sum, part, sum);
}

static bool next_line(const char **text, const char *end, struct cursor *line)
{
	if (*text >= end)
		return false;
	const char *newline = memchr(*text, '\n', (size_t)(end - *text));

	line->at = *text;
	line->end = newline ? newline : end;
	*text = newline ? newline + 1 : end;
	return true;
}

int bede_parse_numa_stat(const char *text, size_t length, struct bede_numa *out)
{
	struct {
		const char *name;
		uint64_t *sum;	/* of each node ... */
		uint64_t *part; /* ... which this is a part of */
	} lists[] = { { "inactive_anon ", out->lru, NULL },
		      { "active_anon ", out->lru, NULL },
		      { "inactive_file ", out->lru, out->file },
		      { "active_file ", out->lru, out->file },
		      { "unevictable ", out->lru, out->unevictable },
		      { "anon_thp ", out->huge, NULL },
		      { "shmem ", out->shmem, NULL },
		      { "file_mapped ", out->mapped, NULL } };
	const size_t count = sizeof(lists) / sizeof(*lists);
	const char *end = text + length;
	struct cursor line;

	memset(out, 0, sizeof(*out));
	while (next_line(&text, end, &line)) {
		size_t list = 0;

		while (list < count && !take_word(&line, lists[list].name))
			list++;
		if (list == count)
			continue;
		for (;;) {
			uint64_t node, bytes;

			skip_blanks(&line);
			if (line.at == line.end)
				break;
			if (!take_word(&line, "N") || !take_u64(&line, &node) || !take_word(&line, "=") ||
			    !take_u64(&line, &bytes))
				return -EINVAL;
			if (node >= BEDE_MAX_NODES)
				continue;
			if (!add(&lists[list].sum[node], bytes))
				return -EINVAL;
			/* Cannot overflow: the sum, which it is a part of, has not. */
			if (lists[list].part)
				lists[list].part[node] += bytes;
		}
	}
	return 0;
}

/* The sum of the numbers in the lines that begin with one of these words. */
static int parse_sum(const char *text, size_t length, const char *const *words, size_t count, uint64_t *out)
{
	const char *end = text + length;
	struct cursor line;

	*out = 0;
	while (next_line(&text, end, &line)) {
		uint64_t number;
		size_t i = 0;

		while (i < count && !take_word(&line, words[i]))
			i++;
		if (i == count)
			continue;
		if (!take_u64(&line, &number) || !add(out, number))
			return -EINVAL;
	}
	return 0;
}

int bede_parse_kernel(const char *text, size_t length, uint64_t *out)
{
	static const char *const words[] = { "kernel ", "sock " };

	return parse_sum(text, length, words, 2, out);
}

int bede_parse_demoted(const char *text, size_t length, uint64_t *out)
{
	static const char *const words[] = { "pgdemote_kswapd ", "pgdemote_direct ", "pgdemote_khugepaged ",
					     "pgdemote_proactive " };

	return parse_sum(text, length, words, 4, out);
}

static bool is_below(struct cursor path, const char *root)
{
	if (!take_word(&path, root) || path.at == path.end)
		return false;
	return *path.at == '/' || !strcmp(root, "/");
}

/* Parse a cgroup's first line, "memcg NUMBER PATH": 1, and line is at PATH; 0: another line; or -EINVAL. */
static int take_head(struct cursor *line, uint64_t *id)
{
	if (!take_word(line, "memcg "))
		return 0;
	skip_blanks(line);
	return take_u64(line, id) && take_word(line, " ") ? 1 : -EINVAL;
}

/* Set *out to the first line of the living cgroup at path, NULL if there is none. */
static int find_cgroup(const char *text, const char *end, const char *path, uint64_t inode, const char **out)
{
	const size_t length = strlen(path);
	bool by_inode = false;
	struct cursor line;

	*out = NULL;
	for (const char *start = text; next_line(&text, end, &line); start = text) {
		uint64_t id;
		int head = take_head(&line, &id);

		if (head < 0)
			return head;
		if (!head || !id || (size_t)(line.end - line.at) != length || !take_word(&line, path))
			continue;
		if (id == inode || !by_inode)
			*out = start;
		by_inode = by_inode || id == inode;
	}
	return 0;
}

int bede_parse_lru_gen(const char *text, size_t length, const char *path, uint64_t inode,
		       int (*visit)(void *context, uint64_t id, int node, uint64_t seq, uint64_t anon,
				    uint64_t file),
		       void *context)
{
	const char *end = text + length;
	struct cursor line;
	uint64_t id = 0, node = BEDE_MAX_NODES;
	unsigned seen = 0;
	int err = find_cgroup(text, end, path, inode, &text);

	if (err || !text)
		return err;
	while (next_line(&text, end, &line)) {
		if (take_head(&line, &id)) {
			if (seen++ && !is_below(line, path))
				break;
			node = BEDE_MAX_NODES;
			continue;
		}
		skip_blanks(&line);
		if (take_word(&line, "node ")) {
			skip_blanks(&line);
			if (!take_u64(&line, &node) || node >= BEDE_MAX_NODES)
				return -EINVAL;
			continue;
		}
		uint64_t seq, age, count[2];

		if (node == BEDE_MAX_NODES || !take_u64(&line, &seq))
			return -EINVAL;
		skip_blanks(&line);
		if (!take_u64(&line, &age))
			return -EINVAL;
		for (int type = 0; type < 2; type++) {
			skip_blanks(&line);
			if (!take_u64(&line, &count[type]))
				return -EINVAL;
			if (line.at < line.end && *line.at == 'x')
				line.at++;
		}
		int err = visit(context, id, (int)node, seq, count[0], count[1]);

		if (err)
			return err;
	}
	return 0;
}
