/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs, under the sanitizers, what reads samples of memory accesses: on files, and on this kernel.
 *
 *     samples pmu DEVICES | parse FILE SIZE HEAD TAIL | raise RANGES SIGHTINGS WINDOWS PART
 *     samples record CGROUP COUNT PERIOD COMPANION | measure DEVICES CGROUP PID WINDOWS
 *
 * "record" and "measure" run on the kernel of this machine, with page faults in the place of cache misses: those are records of the
 * same form, with an address each, in the same rings. Where it allows no such events, they say so, and the status is 77. DAMON is a
 * mock that is not there.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <string.h>

#include "heat.h"
#include "perf.h"
#include "range_text.h"
#include "sampled.h"
#include "sightings.h"

#define SKIPPED 77

static int no_damon(const struct bede_heat_ask *ask, struct bede_heat *out)
{
	(void)ask;
	(void)out;
	return -ENOENT;
}

const struct bede_heat_source bede_damon = { .measure = no_damon };

bool bede_damon_sees_all(const struct bede_heat_ask *ask)
{
	(void)ask;
	return false;
}

static int pmu(char **argv)
{
	struct bede_event event = { 0 };
	int err = bede_pmu_find(argv[2], &event);

	printf("%d %u %" PRIx64 " %" PRIx64 " %" PRIx64 " %" PRIx64 " %d %" PRIu64 "\n", err, event.type,
	       event.config[0], event.config[1], event.config[2], event.companion, event.precise,
	       event.least_period);
	return 0;
}

static int show(void *context, const struct bede_sample *sample)
{
	(void)context;
	printf("%d %" PRIx64 " %" PRIu64 "\n", sample->pid, sample->address, sample->time_us);
	return 0;
}

static void show_told(const struct bede_perf_told *told)
{
	printf("samples %" PRIu64 " lost %" PRIu64 " throttled %" PRIu64 "\n", told->samples, told->lost,
	       told->throttled);
}

static int parse(char **argv)
{
	BEDE_BUFFER file = { 0 };
	struct bede_perf_told told = { 0 };
	uint64_t size = strtoull(argv[3], NULL, 0), head = strtoull(argv[4], NULL, 0);
	uint64_t tail = strtoull(argv[5], NULL, 0);

	if (read_file(argv[2], &file) || file.length != size)
		return 2;
	/* Copy the ring to a buffer of exactly its length, so that the sanitizer sees a read beyond it. */
	unsigned char *ring = malloc(size ? size : 1);

	memcpy(ring, file.text, size);
	int err = bede_perf_parse(ring, size, head, &tail, show, NULL, &told);

	free(ring);
	show_told(&told);
	return tail > head ? 3 : err ? 1 : 0;
}

/* SIGHTINGS: lines "PID ADDRESS WINDOW". */
static int raise_heat(char **argv)
{
	BEDE_BUFFER file = { 0 };
	struct bede_ranges ranges = { 0 };
	struct bede_process processes[] = { { .pid = 9 }, { .pid = 7 } };
	struct bede_sightings seen = { .processes = processes,
				       .process_count = 2,
				       .part = strtoull(argv[5], NULL, 0) };
	int pid, err = 0, used;
	unsigned window;
	uint64_t address;

	if (read_ranges(argv[2], &ranges) || read_file(argv[3], &file))
		return 2;
	for (const char *at = file.text;
	     !err && sscanf(at, "%d %" SCNx64 " %u\n%n", &pid, &address, &window, &used) == 3; at += used)
		err = bede_sightings_add(&seen, pid, address, window);
	err = err ? err : bede_sightings_raise(&seen, (unsigned)atoi(argv[4]), &ranges);
	show_ranges(&ranges);
	bede_sightings_free(&seen);
	free(ranges.at);
	return err ? 1 : 0;
}

static int skip(int err)
{
	printf("perf_event_open: %s\n", strerror(-err));
	return err == -EACCES || err == -EPERM || err == -ENOSYS || err == -ENOENT ? SKIPPED : 1;
}

/* Print at least so many samples, and what else there was. */
static int record(char **argv)
{
	const struct bede_event faults = { .type = PERF_TYPE_SOFTWARE,
					   .config = { PERF_COUNT_SW_PAGE_FAULTS },
					   .companion = strtoull(argv[5], NULL, 10),
					   .excludes = true };
	BEDE_FD cgroup = open(argv[2], O_RDONLY | O_DIRECTORY);
	struct bede_perf perf;
	struct bede_perf_told told = { 0 };
	int err = bede_perf_open(&faults, cgroup, 1000000, &perf);

	if (err)
		return skip(err);
	err = bede_perf_set_period(&perf, strtoull(argv[4], NULL, 10));
	while (!err && told.samples < strtoull(argv[3], NULL, 10)) {
		usleep(5000);
		err = bede_perf_read(&perf, show, NULL, &told);
	}
	show_told(&told);
	bede_perf_close(&perf);
	return err ? 1 : 0;
}

static int descriptors(void)
{
	int count = 0;

	for (int fd = 0; fd < 1024; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

/* The heat of one process, by the whole source. */
static int measure(char **argv)
{
	BEDE_FD cgroup = open(argv[3], O_RDONLY | O_DIRECTORY);
	struct bede_process process = { .pid = atoi(argv[4]), .span = 1ULL << 40 };
	struct bede_heat heat = { 0 };
	atomic_int wanted = 1;
	bool kept = false;
	struct bede_heat_ask ask = { .processes = &process,
				     .count = 1,
				     .dir = cgroup,
				     .bound = 4096,
				     .window_us = 100000,
				     .windows = (unsigned)atoi(argv[5]),
				     .wanted = &wanted,
				     .kept = &kept };
	int before = descriptors();

	bede_sampled_prepare(argv[2], argv[3]);
	if (!bede_sampled_is_there())
		return skip(-ENOENT);
	int err = bede_sampled.measure(&ask, &heat);

	show_ranges(&heat.ranges);
	free(heat.ranges.at);
	printf("%d %d %d %d\n", err, heat.by_page, heat.used_us > 0, descriptors() - before);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "pmu"))
		return pmu(argv);
	if (argc == 6 && !strcmp(argv[1], "parse"))
		return parse(argv);
	if (argc == 6 && !strcmp(argv[1], "raise"))
		return raise_heat(argv);
	if (argc == 6 && !strcmp(argv[1], "record"))
		return record(argv);
	return argc == 6 && !strcmp(argv[1], "measure") ? measure(argv) : 2;
}
