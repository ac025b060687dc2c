/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Heat by DAMON and by samples of memory accesses, which the processor takes (pmu.h), where there is too much memory for looking at
 * each page.
 *
 * Of much memory DAMON looks at one page of each region, so a hot page among cold ones gets the average of its region. A sample
 * names a page that missed the caches, which is what local memory is for, and costs nothing for pages that nobody uses. But it is
 * one access of N. A page's share of windows with a sample is therefore not its heat, but less: where that is more than DAMON's
 * average, the page is hotter than this; where it is less, it tells nothing. So samples only ever raise heat. That matters, since a
 * PMU does not see all: Intel's event is about loads, not stores, and what the processor fetched ahead of time has hit a cache.
 *
 * All CPUs have the same period. With a frequency (attr.freq) each would have a period of its own, and pages that are used on
 * busy CPUs would seem colder than others.
 */
#define _GNU_SOURCE
#include "sampled.h"

#include <errno.h>
#include <pthread.h>
#include <unistd.h>

#include "heat.h"
#include "perf.h"
#include "scores.h"
#include "sightings.h"
#include "units.h"

/*
 * Samples a second on all CPUs together: half as many as the kernel allows one CPU (perf_event_max_sample_rate) before it throttles
 * it. With SAMPLE_NS for an interrupt and its record, an estimate, this is 7.5 % of one CPU while the measurement lasts.
 */
#define WANTED_A_SECOND 50000
#define SAMPLE_NS 1500
/*
 * While little is known, a page that is to be promoted must be seen in three of ten windows (LEAST_HEAT in worth.c), which takes
 * 0.36 samples a window on the average: exp(-0.36) = 0.7. So one sample tells at most 2.8 pages from others. Less than a fiftieth of the bound is
 * hardly worth the price: it takes a sample for 140 pages of the bound in each window.
 */
#define PAGES_A_SAMPLE 140
#define FIRST_PERIOD (1ULL << 20) /* few samples for certain; the next ones are found by what it gives */
#define MOST_PERIOD (1ULL << 40)  /* nothing comes so often that it takes more */
#define SLICE_US 10000		  /* between two looks for samples ... */
#define LOOK_US 20000		  /* ... and between two changes of the period: 1000 samples tell enough */
#define MOST_LOOKS 8		  /* for finding the period */
#define STEP 16			  /* most change of the period at a time */
#define THROTTLED_STEP 4	  /* change of the period when the kernel says that there are too many */
#define LONG_US 2000000 /* all windows of samples together, at least: the longest measurement of learn.c */
#define LONGEST_WINDOW_US (LONG_US / 2) /* there are two, at least */

enum stage { UNOPENED, FINDING, SAMPLING, GIVEN_UP };

struct sampling {
	const struct bede_heat_ask *ask;
	enum stage stage;
	struct bede_perf perf;
	uint64_t period;
	struct bede_sightings seen;
	uint64_t since_us, window_us; /* when the windows of samples began, and how long they are */
	uint64_t look_us;	      /* when the last look at the period was; since then: */
	struct bede_perf_told told;
	uint64_t accesses; /* to memory, of the container */
	uint64_t samples;  /* in all */
	unsigned looks;
	bool throttled; /* once: then as many samples as wanted are too many here */
};

static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;
static struct bede_event event;
static bool is_there;
static uint64_t last_period = FIRST_PERIOD; /* that fitted; under one_at_a_time */

void bede_sampled_prepare(const char *devices, const char *cgroups)
{
	is_there = !bede_pmu_find(devices, &event) && !bede_perf_try(&event, cgroups);
}

bool bede_sampled_is_there(void)
{
	return is_there;
}

static int note(void *context, const struct bede_sample *sample)
{
	struct sampling *sampling = context;

	sampling->accesses++;
	if (sampling->stage != SAMPLING || sample->time_us < sampling->since_us)
		return 0;
	uint64_t window = (sample->time_us - sampling->since_us) / sampling->window_us;

	return bede_sightings_add(&sampling->seen, sample->pid, sample->address,
				  (unsigned)minimum(window, BEDE_SIGHTINGS_WINDOWS));
}

static void look_again(struct sampling *sampling)
{
	sampling->look_us = now_us();
	sampling->told = (struct bede_perf_told){ 0 };
	sampling->accesses = 0;
}

static void give_up(struct sampling *sampling)
{
	bede_perf_close(&sampling->perf);
	sampling->stage = GIVEN_UP;
}

static void open_events(struct sampling *sampling)
{
	sampling->period = last_period;
	sampling->stage = FINDING;
	look_again(sampling);
	if (bede_perf_open(&event, sampling->ask->dir, sampling->period, &sampling->perf))
		sampling->stage = GIVEN_UP;
}

/*
 * How long a window of samples is. Longer ones see more. As one access of N is sampled, a page is not seen in more of them than of
 * DAMON's windows, as long as they are at most N times as long.
 */
static uint64_t length_us(const struct sampling *sampling)
{
	uint64_t asked = sampling->ask->window_us, wanted = LONG_US / sampling->ask->windows;

	return asked > wanted ? asked : minimum(wanted, asked * sampling->period);
}

static void begin_windows(struct sampling *sampling)
{
	last_period = sampling->period;
	sampling->window_us = length_us(sampling);
	sampling->since_us = now_us();
	sampling->stage = SAMPLING;
}

static bool is_prime(uint64_t number)
{
	for (uint64_t i = 2; i * i <= number; i++)
		if (number % i == 0)
			return false;
	return true;
}

/*
 * The period that is nearest to that many. Where the PMU takes any number it is a prime one: with a factor in common, always the same
 * accesses of a loop would be sampled.
 */
static uint64_t period_near(double many)
{
	uint64_t near = many > MOST_PERIOD ? MOST_PERIOD : many < 1 ? 1 : (uint64_t)many;

	near = near > event.least_period ? near / event.step * event.step : event.least_period;
	while (event.step == 1 && !is_prime(near))
		near++;
	return near;
}

static void set_period(struct sampling *sampling, double ratio)
{
	ratio = ratio > STEP ? STEP : ratio < 1.0 / STEP ? 1.0 / STEP : ratio;
	sampling->period = period_near((double)sampling->period * ratio);
	if (bede_perf_set_period(&sampling->perf, sampling->period))
		give_up(sampling);
}

/* Look at how many samples the period gives, and change it if they are too many, or too few at first. */
static void look(struct sampling *sampling)
{
	uint64_t us = now_us() - sampling->look_us;

	if (us < LOOK_US)
		return;
	uint64_t wanted = WANTED_A_SECOND * us / 1000000, pages = sampling->ask->bound / sampling->seen.part;
	uint64_t samples = sampling->told.samples + sampling->told.lost;
	bool least = sampling->period == event.least_period;
	bool many = samples > wanted * 2 || sampling->told.throttled;

	sampling->throttled |= sampling->told.throttled > 0;
	bool few = samples < wanted / 2 && !least && !sampling->throttled;
	/* Whether it is enough does not depend on how many windows there are: a container has samples always, or never. */
	bool enough = sampling->accesses * LONGEST_WINDOW_US / us * PAGES_A_SAMPLE >= pages;

	if (sampling->stage == FINDING && !many && !few) {
		if (enough)
			begin_windows(sampling);
		else
			give_up(sampling);
	} else if (sampling->stage == FINDING && ++sampling->looks == MOST_LOOKS) {
		give_up(sampling);
	} else if (many || (few && sampling->stage == FINDING)) {
		/* CPUs that were throttled do not tell how many samples there would have been. */
		set_period(sampling, sampling->told.throttled ? THROTTLED_STEP :
								(double)(samples + 1) / (double)(wanted + 1));
	}
	look_again(sampling);
}

/* Called again and again during a measurement by DAMON. Whatever goes wrong here, that one goes on. */
static void meanwhile(void *context)
{
	struct sampling *sampling = context;
	uint64_t before = sampling->told.samples;

	if (sampling->stage == UNOPENED)
		open_events(sampling);
	if (sampling->stage == GIVEN_UP)
		return;
	if (bede_perf_read(&sampling->perf, note, sampling, &sampling->told)) {
		give_up(sampling);
		return;
	}
	sampling->samples += sampling->told.samples - before;
	look(sampling);
}

static bool is_complete(const struct sampling *sampling)
{
	return sampling->stage == SAMPLING &&
	       now_us() >= sampling->since_us + sampling->window_us * sampling->ask->windows;
}

/* Sample until all windows are over, or somebody wants the measurement to end. */
static void finish(struct sampling *sampling)
{
	while (sampling->stage != GIVEN_UP && *sampling->ask->wanted) {
		bool last = is_complete(sampling);

		meanwhile(sampling);
		if (last)
			return;
		usleep(SLICE_US);
	}
}

/* Where there is no DAMON, what is not sampled counts as cold. */
static int know_nothing(const struct bede_heat_ask *ask, struct bede_heat *out)
{
	int err = 0;

	for (size_t i = 0; i < ask->count && !err; i++)
		err = bede_ranges_add(&out->ranges,
				      (struct bede_range){ .pid = ask->processes[i].pid, .end = 1ULL << 56 });
	out->by_page = !ask->huge;
	return err;
}

static int measure_with(struct sampling *sampling, struct bede_heat *out)
{
	struct bede_heat_ask ask = *sampling->ask;

	ask.meanwhile = meanwhile;
	ask.context = sampling;
	int err = bede_damon.measure(&ask, out);
	bool alone = err == -ENOENT;

	if (err && !alone)
		return err;
	finish(sampling);
	if (!*ask.wanted)
		return -EINTR;
	if (is_complete(sampling)) {
		out->sampled = !alone;
		out->seen = bede_scores_use(&out->ranges) / BEDE_HEAT_ALWAYS;
		err = alone ? know_nothing(&ask, out) : 0;
		err = err ? err : bede_sightings_raise(&sampling->seen, ask.windows, &out->ranges);
	}
	out->used_us += sampling->samples * SAMPLE_NS / 1000;
	return err;
}

static int measure(const struct bede_heat_ask *ask, struct bede_heat *out)
{
	struct sampling sampling = { .ask = ask,
				     .seen = { .processes = ask->processes,
					       .process_count = ask->count,
					       .part = ask->huge ? HUGE_PAGE : PAGE } };

	if (!is_there || ask->soon || ask->windows > BEDE_SIGHTINGS_WINDOWS || bede_damon_sees_all(ask))
		return -ENOENT;
	if (pthread_mutex_trylock(&one_at_a_time))
		return -EBUSY;
	int err = measure_with(&sampling, out);

	bede_perf_close(&sampling.perf);
	bede_sightings_free(&sampling.seen);
	pthread_mutex_unlock(&one_at_a_time);
	return err;
}

const struct bede_heat_source bede_sampled = { .measure = measure };
