/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "pmu.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kfile.h"

/*
 * A load that takes so many cycles of the processor was not served by its caches: the last one of them takes some 70, memory
 * on the same socket some 250. Hits that take longer all the same are left out by what a sample says of its source (perf.c).
 */
#define SLOW_CYCLES 128
#define LEAST_LOADS 37 /* slow loads for a sample; some processors allow no less than 32 */
#define LEAST_OPS 4096 /* operations for a sample */
#define OPS_STEP 16    /* the hardware takes multiples of it, and makes the last bits random itself */
#define LONGEST 256    /* bytes of one of these files */

/* The text of a PMU's file without its line end. Returns 0 or a negative errno; -ENOENT: there is no such file. */
static int read_text(int pmu, const char *directory, const char *name, char *out)
{
	char path[LONGEST];

	if (snprintf(path, sizeof(path), "%s%s", directory, name) >= (int)sizeof(path))
		return -EINVAL;
	BEDE_FD fd = openat(pmu, path, O_RDONLY | O_CLOEXEC);
	ssize_t got = fd < 0 ? -1 : read(fd, out, LONGEST - 1);

	if (got < 0)
		return -errno;
	out[got] = '\0';
	out[strcspn(out, "\n")] = '\0';
	return 0;
}

/* "config1:0-7,32-35" -> put the value's bits there, the lowest ones first. Returns 0, or -EINVAL if it does not fit. */
static int put_bits(const char *format, uint64_t value, uint64_t *config)
{
	static const char *const names[] = { "config:", "config1:", "config2:" };
	uint64_t *word = NULL;

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (!strncmp(format, names[i], strlen(names[i]))) {
			word = &config[i];
			format += strlen(names[i]);
		}
	while (word && *format) {
		char *end;
		unsigned long low = strtoul(format, &end, 10), high = low;

		if (end == format)
			return -EINVAL;
		if (*end == '-')
			high = strtoul(end + 1, &end, 10);
		if (high < low || high > 63)
			return -EINVAL;
		for (unsigned long bit = low; bit <= high; bit++, value >>= 1)
			*word |= (value & 1) << bit;
		if (*end && *end != ',')
			return -EINVAL;
		format = *end ? end + 1 : end;
	}
	return word && !value ? 0 : -EINVAL;
}

static int put_term(int pmu, const char *name, uint64_t value, uint64_t *config)
{
	char format[LONGEST];
	int err = read_text(pmu, "format/", name, format);

	return err ? err : put_bits(format, value, config);
}

/* Put the terms of an event of the PMU into config; a slow load is one of SLOW_CYCLES. */
static int put_event(int pmu, const char *name, uint64_t *config)
{
	char text[LONGEST], *rest = text;
	int err = read_text(pmu, "events/", name, text);

	for (char *term; !err && (term = strsep(&rest, ","));) {
		char *value = strchr(term, '=');

		if (value)
			*value++ = '\0';
		err = put_term(pmu, term,
			       !strcmp(term, "ldlat") ? SLOW_CYCLES :
			       value		      ? strtoull(value, NULL, 0) :
							1,
			       config);
	}
	return err;
}

static int open_pmu(const char *devices, const char *name, struct bede_event *out)
{
	char text[LONGEST];

	if (snprintf(text, sizeof(text), "%s/%s", devices, name) >= (int)sizeof(text))
		return -EINVAL;
	int pmu = open(text, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int err = pmu < 0 ? -errno : read_text(pmu, "", "type", text);

	if (err) {
		bede_close(&pmu);
		return err;
	}
	*out = (struct bede_event){ .type = (uint32_t)strtoul(text, NULL, 10) };
	return pmu;
}

/* Intel. A processor with two kinds of cores has two such PMUs, neither of which sees all: those are for desktops. */
static int find_loads(const char *devices, struct bede_event *out)
{
	uint64_t companion[3] = { 0 };
	BEDE_FD pmu = open_pmu(devices, "cpu", out);
	int err = pmu < 0 ? pmu : put_event(pmu, "mem-loads", out->config);

	if (err)
		return err;
	/* On some processors the event is only right while this one is counted, too. The kernel insists on that. */
	err = put_event(pmu, "mem-loads-aux", companion);
	out->companion = companion[0];
	out->precise = out->excludes = true;
	out->least_period = LEAST_LOADS;
	out->step = 1;
	return err == -ENOENT ? 0 : err;
}

/* AMD. Before Zen 4 it samples all operations, of which too few are accesses to memory. */
static int find_ops(const char *devices, struct bede_event *out)
{
	BEDE_FD pmu = open_pmu(devices, "ibs_op", out);
	int err = pmu < 0 ? pmu : put_term(pmu, "l3missonly", 1, out->config);

	/* Count operations, not cycles: else what follows a slow one is sampled too often. */
	err = err ? err : put_term(pmu, "cnt_ctl", 1, out->config);
	out->least_period = LEAST_OPS;
	out->step = OPS_STEP;
	return err;
}

int bede_pmu_find(const char *devices, struct bede_event *out)
{
	int err = find_loads(devices, out);

	return err == -ENOENT ? find_ops(devices, out) : err;
}
