/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "trace.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define BUFFER_PAGE 4096
#define HEADER 16	    /* of a page: its time, and how many bytes of records it has */
#define COMMIT_MASK 0xfffff /* the other bits of that number say that records were lost */
#define SMALL_KIB "16"	    /* of each CPU's buffer while nothing is read */

/* The kinds of entries, in the lowest five bits of an entry's head (enum ring_buffer_type). */
enum { LONG = 0, LONGEST_SHORT = 28, PADDING = 29, TIME_EXTEND = 30, TIME_STAMP = 31 };

static uint32_t word_at(const unsigned char *at)
{
	uint32_t value;

	memcpy(&value, at, sizeof(value));
	return value;
}

static uint64_t number_at(const unsigned char *at, unsigned size)
{
	uint64_t value = 0;

	memcpy(&value, at, size); /* little endian, as all machines with NUMA are that Bede knows */
	return value;
}

/* A line "field:unsigned long start;	offset:24;	size:8;	signed:0;" -> whether it is of that name. */
static bool read_field(const char *line, const char *name, unsigned *offset, unsigned *size)
{
	const char *end = strchr(line, ';');
	size_t length = strlen(name);

	return end && end - line > (ptrdiff_t)length && end[-(ptrdiff_t)length - 1] == ' ' &&
	       !strncmp(end - length, name, length) &&
	       sscanf(end, "; offset:%u; size:%u;", offset, size) == 2;
}

int bede_trace_parse_format(const char *text, const char *const *names, size_t count,
			    struct bede_trace_format *out)
{
	const char *id = strstr(text, "ID: ");

	if (!id || count > BEDE_TRACE_FIELDS)
		return -EINVAL;
	out->id = (unsigned)strtoul(id + 4, NULL, 10);
	out->count = 0;
	for (size_t i = 0; i < count; i++) {
		bool found = false;

		for (const char *line = text; !found && (line = strstr(line, "field:")); line++)
			found = read_field(line, names[i], &out->field[i].offset, &out->field[i].size);
		if (!found || (out->field[i].size != 4 && out->field[i].size != 8) ||
		    out->field[i].offset > BUFFER_PAGE)
			return -EINVAL;
	}
	out->count = count;
	return 0;
}

/* One entry's payload. Entries of other events, and fields beyond the payload's end, are left out. */
static int visit_entry(const unsigned char *data, size_t size, const struct bede_trace_format *format,
		       bede_trace_visit *visit, void *context)
{
	uint64_t values[BEDE_TRACE_FIELDS];

	if (size < 2 || number_at(data, 2) != format->id)
		return 0;
	for (size_t i = 0; i < format->count; i++) {
		if (format->field[i].offset + format->field[i].size > size)
			return 0;
		values[i] = number_at(data + format->field[i].offset, format->field[i].size);
	}
	return visit(context, values);
}

int bede_trace_parse_page(const unsigned char *page, size_t size, const struct bede_trace_format *format,
			  bede_trace_visit *visit, void *context)
{
	if (size < HEADER)
		return -EINVAL;
	size_t end = HEADER + (word_at(page + 8) & COMMIT_MASK);

	if (end > size)
		return -EINVAL;
	for (size_t at = HEADER; at + 4 <= end;) {
		uint32_t head = word_at(page + at), kind = head & 31;
		size_t start = at + 4, length = kind * 4UL;

		if (kind == PADDING && !(head >> 5))
			return 0; /* the rest of the page is empty */
		if (kind == TIME_EXTEND || kind == TIME_STAMP) {
			at = start + 4;
			continue;
		}
		if (kind == LONG || kind == PADDING) {
			if (start + 4 > end)
				return -EINVAL;
			/* This length counts itself. */
			length = word_at(page + start);
			if (length < 4)
				return -EINVAL;
		}
		if (length > end - start)
			return -EINVAL;
		size_t skipped = kind == LONG ? 4 : 0;
		int err = kind == PADDING ? 0 :
					    visit_entry(page + start + skipped, length - skipped, format,
							visit, context);

		if (err)
			return err;
		at = start + ((length + 3) & ~(size_t)3);
	}
	return 0;
}

/* The directory of all instances, or a negative errno. */
static int instances(void)
{
	int fd = open("/sys/kernel/tracing/instances", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		fd = open("/sys/kernel/debug/tracing/instances", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int read_format(struct bede_trace *trace, const char *event, const char *const *names, size_t count)
{
	char path[128];
	BEDE_BUFFER buffer = { 0 };

	(void)snprintf(path, sizeof(path), "events/%s/format", event);
	BEDE_FD fd = openat(trace->instance, path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	int err = bede_read(fd, &buffer);

	return err ? err : bede_trace_parse_format(buffer.text, names, count, &trace->format);
}

int bede_trace_open(struct bede_trace *trace, const char *instance, const char *event,
		    const char *const *names, size_t count)
{
	char path[128];
	BEDE_FD all = instances();

	*trace = (struct bede_trace){ .instance = -1, .pipe = -1 };
	if (all < 0)
		return all;
	if (mkdirat(all, instance, 0700) && errno != EEXIST)
		return -errno;
	trace->instance = openat(all, instance, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (trace->instance < 0)
		return -errno;
	/* A new instance has 1.4 MiB for each CPU. */
	int err = bede_write_text(trace->instance, "buffer_size_kb", SMALL_KIB);

	err = err ? err : read_format(trace, event, names, count);
	(void)snprintf(path, sizeof(path), "events/%s/enable", event);
	err = err ? err : bede_write_text(trace->instance, path, "1");
	if (err)
		bede_trace_close(trace, instance);
	return err;
}

int bede_trace_listen(struct bede_trace *trace, int cpu, size_t bytes)
{
	char path[64], text[32];

	bede_trace_hush(trace);
	trace->cpu = cpu;
	(void)snprintf(path, sizeof(path), "per_cpu/cpu%d/buffer_size_kb", cpu);
	(void)snprintf(text, sizeof(text), "%zu", bytes / 1024 + 16);
	int err = bede_write_text(trace->instance, path, text);

	if (err)
		return err;
	(void)snprintf(path, sizeof(path), "per_cpu/cpu%d/trace_pipe_raw", cpu);
	trace->pipe = openat(trace->instance, path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	return trace->pipe < 0 ? -errno : 0;
}

struct counted {
	bede_trace_visit *visit;
	void *context;
	int count;
};

static int count(void *context, const uint64_t *values)
{
	struct counted *counted = context;

	counted->count++;
	return counted->visit(counted->context, values);
}

int bede_trace_read(struct bede_trace *trace, bede_trace_visit *visit, void *context)
{
	unsigned char page[BUFFER_PAGE];
	struct counted counted = { .visit = visit, .context = context };

	for (;;) {
		ssize_t got = read(trace->pipe, page, sizeof(page));

		if (got <= 0)
			return got < 0 && errno != EAGAIN ? -errno : counted.count;
		int err = bede_trace_parse_page(page, (size_t)got, &trace->format, count, &counted);

		if (err)
			return err;
	}
}

void bede_trace_hush(struct bede_trace *trace)
{
	char path[64];

	if (trace->pipe < 0)
		return;
	bede_close(&trace->pipe);
	trace->pipe = -1;
	(void)snprintf(path, sizeof(path), "per_cpu/cpu%d/buffer_size_kb", trace->cpu);
	(void)bede_write_text(trace->instance, path, SMALL_KIB);
}

void bede_trace_close(struct bede_trace *trace, const char *instance)
{
	BEDE_FD all = instances();

	bede_trace_hush(trace);
	bede_close(&trace->instance);
	trace->instance = -1;
	if (all >= 0)
		(void)unlinkat(all, instance, AT_REMOVEDIR);
}
