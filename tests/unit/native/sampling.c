/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs the source of heat by samples on a simulated processor and a simulated DAMON; sampled.c, sightings.c and ranges.c are the
 * real ones, clock and perf events are simulated.
 *
 *     sampling PAGES BOUND MISSES WINDOW_US [burst] [slow] [ended] [refused] [alone] [busy] [soon]
 *
 * A process misses the caches MISSES times a second, by a Zipf distribution (0.99) over PAGES pages (a multiple of 65536) in random order; BOUND is in
 * pages. "slow": the kernel allows 250 samples in 10 ms. With "burst" it misses a thousand times as often in the second half, with "ended" the measurement is ended then; with
 * "refused" the kernel refuses to open events; with "alone" there is no DAMON, with "busy" somebody else uses it; with "soon" somebody waits for the result. It prints what
 * the measurement returned; the share of misses that the hottest BOUND pages have, by what DAMON found and by what there was in
 * the end; samples in all; how often events were opened and closed; whether a page became colder; and whether events were open when DAMON was done.
 */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "heat.h"
#include "perf.h"
#include "sampled.h"
#include "units.h"

#define PID 7
#define REGIONS 65536 /* DAMON's, at most */
#define SLOW 250
#define THROTTLED 1000 /* samples in 10 ms: perf_event_max_sample_rate */

static uint64_t clock_us = 1000000;
static size_t pages, bound, region;
static double misses, *sums; /* a second; of the pages up to each, sums is the share */
static bool burst, slow, ended, refused, is_alone, is_busy, soon;
static uint64_t period, last_read_us, samples, opened, closed, left_open;
static atomic_int wanted = 1;
static struct bede_ranges by_damon;

int clock_gettime(clockid_t clock, struct timespec *out)
{
	(void)clock;
	*out = (struct timespec){ .tv_sec = (time_t)(clock_us / 1000000),
				  .tv_nsec = (long)(clock_us % 1000000 * 1000) };
	return 0;
}

int usleep(useconds_t us)
{
	clock_us += us;
	if (ended && clock_us > 1300000)
		wanted = 0;
	return 0;
}

/* SplitMix64 (Steele, Lea and Flood 2014): drand48's numbers that are a power of two apart depend on each other. */
static double chance(void)
{
	static uint64_t state = 1;
	uint64_t z = state += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return (double)((z ^ z >> 31) >> 11) * 0x1p-53;
}

/* The processor. */

int bede_pmu_find(const char *devices, struct bede_event *out)
{
	(void)devices;
	*out = (struct bede_event){ .least_period = 17, .step = 1 };
	return 0;
}

int bede_perf_try(const struct bede_event *event, const char *cgroups)
{
	(void)cgroups;
	return event->least_period ? 0 : -ENOENT;
}

int bede_perf_open(const struct bede_event *event, int cgroup, uint64_t first, struct bede_perf *out)
{
	(void)event;
	(void)cgroup;
	if (refused)
		return -EACCES;
	*out = (struct bede_perf){ .count = 1 };
	period = first;
	last_read_us = clock_us;
	opened++;
	return 0;
}

int bede_perf_set_period(const struct bede_perf *perf, uint64_t next)
{
	/* No loop's length may have a factor in common with it. */
	for (uint64_t i = 2; i * i <= next; i++)
		if (next % i == 0)
			abort();
	period = next;
	return perf->count ? 0 : -EINVAL;
}

void bede_perf_close(struct bede_perf *perf)
{
	closed += perf->count;
	*perf = (struct bede_perf){ 0 };
}

static size_t draw(void)
{
	double at = chance();
	size_t low = 0, high = pages - 1;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (sums[middle] < at)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

int bede_perf_read(const struct bede_perf *perf, bede_perf_visit *visit, void *context,
		   struct bede_perf_told *told)
{
	double us = (double)(clock_us - last_read_us);
	double rate = misses * (burst && clock_us > 2000000 ? 1000 : 1);
	double count = rate * us / 1e6 / (double)period, most = (slow ? SLOW : THROTTLED) * us / 10000;
	int err = perf->count ? 0 : -EBADF;

	told->throttled += count > most;
	for (size_t i = (size_t)((count > most ? most : count) + chance()); i > 0 && !err; i--) {
		struct bede_sample one = { .pid = PID,
					   .address = draw() * PAGE,
					   .time_us = last_read_us + (uint64_t)(chance() * us) };

		told->samples++;
		samples++;
		err = visit(context, &one);
	}
	last_read_us = clock_us;
	return err;
}

/* DAMON: in each window a look at one page of each region, whichever it is. */

static double share(size_t page)
{
	return sums[page] - (page ? sums[page - 1] : 0);
}

static int measure(const struct bede_heat_ask *ask, struct bede_heat *out)
{
	uint64_t end = clock_us + ask->window_us * ask->windows;
	double seconds = (double)ask->window_us / 1e6;

	if (is_alone || is_busy)
		return is_alone ? -ENOENT : -EBUSY;
	while (clock_us < end) {
		usleep(10000);
		if (!*ask->wanted)
			return -EINTR;
		ask->meanwhile(ask->context);
	}
	left_open = opened - closed;
	for (size_t first = 0; first < pages; first += region) {
		unsigned seen = 0;

		for (unsigned window = 0; window < ask->windows; window++) {
			size_t page = first + (size_t)(chance() * (double)region);

			seen += chance() > exp(-share(page) * misses * seconds);
		}
		struct bede_range one = { .pid = PID,
					  .heat = seen * BEDE_HEAT_ALWAYS / ask->windows,
					  .start = first * PAGE,
					  .end = (first + region) * PAGE };

		if (bede_ranges_add(&out->ranges, one) || bede_ranges_add(&by_damon, one))
			return -ENOMEM;
	}
	return 0;
}

const struct bede_heat_source bede_damon = { .measure = measure };

bool bede_damon_sees_all(const struct bede_heat_ask *ask)
{
	return ask->processes->span <= REGIONS * PAGE;
}

/* What comes of it. */

static int hotter(const void *left, const void *right)
{
	const struct bede_range *a = left, *b = right;

	return (a->heat < b->heat) - (a->heat > b->heat);
}

/* The share of misses that the hottest pages have. */
static double served(const struct bede_ranges *ranges)
{
	struct bede_ranges copy = { .at = malloc((ranges->count + 1) * sizeof(*copy.at)),
				    .count = ranges->count };
	size_t left = bound;
	double sum = 0;

	if (ranges->count)
		memcpy(copy.at, ranges->at, ranges->count * sizeof(*copy.at));
	qsort(copy.at, copy.count, sizeof(*copy.at), hotter);
	for (size_t i = 0; i < copy.count; i++)
		for (uint64_t page = copy.at[i].start / PAGE;
		     page < copy.at[i].end / PAGE && page < pages && left; page++, left--)
			sum += share(page);
	free(copy.at);
	return sum;
}

static bool any_colder(const struct bede_ranges *ranges)
{
	size_t i = 0;

	for (size_t j = 0; j < by_damon.count; j++)
		for (; i < ranges->count && ranges->at[i].end <= by_damon.at[j].end; i++)
			if (ranges->at[i].heat < by_damon.at[j].heat)
				return true;
	return i != ranges->count && by_damon.count;
}

static void make_load(void)
{
	double sum = 0;

	sums = calloc(pages, sizeof(*sums));
	for (size_t i = 0; i < pages; i++)
		sums[i] = pow((double)i + 1, -0.99);
	for (size_t i = pages - 1; i > 0; i--) {
		size_t other = (size_t)(chance() * (double)(i + 1));
		double was = sums[i];

		sums[i] = sums[other];
		sums[other] = was;
	}
	for (size_t i = 0; i < pages; i++)
		sum += sums[i];
	for (size_t i = 0; i < pages; i++)
		sums[i] = sums[i] / sum + (i ? sums[i - 1] : 0);
}

int main(int argc, char **argv)
{
	if (argc < 5)
		return 2;
	pages = strtoull(argv[1], NULL, 10);
	region = (pages + REGIONS - 1) / REGIONS;
	bound = strtoull(argv[2], NULL, 10);
	misses = atof(argv[3]);
	for (int i = 5; i < argc; i++) {
		burst |= !strcmp(argv[i], "burst");
		slow |= !strcmp(argv[i], "slow");
		ended |= !strcmp(argv[i], "ended");
		refused |= !strcmp(argv[i], "refused");
		is_alone |= !strcmp(argv[i], "alone");
		is_busy |= !strcmp(argv[i], "busy");
		soon |= !strcmp(argv[i], "soon");
	}
	make_load();
	struct bede_process process = { .pid = PID, .span = pages * PAGE };
	struct bede_heat heat = { 0 };
	struct bede_heat_ask ask = { .processes = &process,
				     .count = 1,
				     .bound = bound * PAGE,
				     .window_us = strtoull(argv[4], NULL, 10),
				     .windows = 10,
				     .soon = soon,
				     .wanted = &wanted };

	bede_sampled_prepare("", "");
	int err = bede_sampled.measure(&ask, &heat);

	printf("%d %.3f %.3f %" PRIu64 " %" PRIu64 " %" PRIu64 " %d %" PRIu64 "\n", err, served(&by_damon),
	       served(&heat.ranges), samples, opened, closed, any_colder(&heat.ranges), left_open);
	free(heat.ranges.at);
	free(by_damon.at);
	free(sums);
	return 0;
}
