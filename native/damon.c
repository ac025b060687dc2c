/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Heat by the kernel's DAMON (sysfs, vaddr operations), page by page where that are not too many.
 *
 * DAMON looks at one random page of each region in each window. It makes its first regions by dividing a process's
 * memory into so many equal parts as the least number of regions says, and never joins two into a larger one
 * (mm/damon/vaddr.c, __damon_va_init_regions; mm/damon/core.c, damon_merge_regions_of). So with as many regions as
 * there are pages it looks at each page. Where these are too many it looks at one page of each larger part. Results are
 * read from its tracepoint: sysfs takes five files a region, 30 microseconds of CPU time.
 *
 * DAMON has one user at a time. So an agent measures its containers one after the other, and measures nothing while
 * another program uses DAMON. Sources: Documentation/admin-guide/mm/damon/usage.rst, include/trace/events/damon.h.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "heat.h"
#include "trace.h"
#include "units.h"
#include "visit.h"

#define ADMIN "/sys/kernel/mm/damon/admin/kdamonds"
#define STAT "/sys/module/damon_stat/parameters/enabled" /* DAMON_STAT (7.3) occupies DAMON while it is on */
#define INSTANCE "bede-heat"				 /* of tracefs */

#define UPDATE_US 2000000011 /* an unusual value, which marks a measurement as an agent's own */
#define SLICE_US 10000	     /* between two looks for results */
#define QUIET_SLICES 10	     /* after so many without another result, there are no more */
#define SLOWEST_US 5000000   /* how much longer than its windows a measurement may take */
#define LEAST_REGIONS 256
#define MOST_REGIONS 65536	  /* 256 MiB of pages. Looking at each takes 30 ms a window */
#define HUGE_PART (512 * 1024ULL) /* of a huge page: regions do not begin where huge pages do */
#define RECORD 64		  /* bytes of one region's record, rounded up */

static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;
static struct bede_trace trace = { .instance = -1, .pipe = -1 };

static int open_text(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC | O_NOFOLLOW);

	return fd < 0 ? -errno : fd;
}

static int read_number(const char *path, uint64_t *out)
{
	char text[64];
	BEDE_FD fd = open_text(path, O_RDONLY);
	ssize_t got = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	if (got <= 0)
		return fd < 0 ? fd : -EIO;
	text[got] = '\0';
	*out = strtoull(text, NULL, 10);
	return 0;
}

static int write_to(const char *text, const char *format, va_list words)
{
	char path[192];

	(void)vsnprintf(path, sizeof(path), format, words);
	return bede_write_text(AT_FDCWD, path, text);
}

/* put writes a word, and set a number, to the file whose path the format makes. */
__attribute__((format(printf, 2, 3))) static int put(const char *text, const char *format, ...)
{
	va_list words;

	va_start(words, format);
	int err = write_to(text, format, words);

	va_end(words);
	return err;
}

__attribute__((format(printf, 2, 3))) static int set(uint64_t value, const char *format, ...)
{
	char text[32];
	va_list words;

	(void)snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
	va_start(words, format);
	int err = write_to(text, format, words);

	va_end(words);
	return err;
}

/* Whether the present settings of DAMON were left behind by an agent that was killed. */
static bool is_ours(void)
{
	uint64_t update;

	return !read_number(ADMIN "/0/contexts/0/monitoring_attrs/intervals/update_us", &update) &&
	       update == UPDATE_US;
}

static void end(void)
{
	(void)bede_write_text(AT_FDCWD, ADMIN "/0/state", "off");
	(void)set(0, ADMIN "/nr_kdamonds");
}

static int claim(void)
{
	uint64_t count;
	int err = read_number(ADMIN "/nr_kdamonds", &count);

	if (err)
		return err;
	if (count && !is_ours())
		return -EBUSY;
	if (count)
		end();
	return 0;
}

/* How many regions there are if each has one page, or one huge page. */
static uint64_t pages(const struct bede_heat_ask *ask)
{
	uint64_t part = ask->huge ? HUGE_PART : PAGE, sum = 0;

	for (size_t i = 0; i < ask->count; i++)
		sum += ask->processes[i].span / part + 1;
	return sum;
}

bool bede_damon_sees_all(const struct bede_heat_ask *ask)
{
	return pages(ask) <= MOST_REGIONS / ask->count;
}

/*
 * How many regions DAMON shall begin with. Up to 6.12 it divides each process's memory into so many, later that of all
 * processes together.
 */
static uint64_t regions(const struct bede_heat_ask *ask)
{
	uint64_t sum = pages(ask), most = MOST_REGIONS / ask->count;

	return sum < LEAST_REGIONS ? LEAST_REGIONS : minimum(sum, most);
}

static int set_up(const struct bede_heat_ask *ask, uint64_t least)
{
	static const char context[] = ADMIN "/0/contexts/0";
	static const char interval[] = ADMIN "/0/contexts/0/monitoring_attrs/intervals";
	int err = set(1, ADMIN "/nr_kdamonds");

	err = err ? err : set(1, ADMIN "/0/contexts/nr_contexts");
	err = err ? err : put("vaddr", "%s/operations", context);
	err = err ? err : set(ask->window_us, "%s/sample_us", interval);
	err = err ? err : set(ask->window_us * ask->windows, "%s/aggr_us", interval);
	err = err ? err : set(UPDATE_US, "%s/update_us", interval);
	err = err ? err : set(MOST_REGIONS * 2, "%s/monitoring_attrs/nr_regions/max", context);
	err = err ? err : set(least, "%s/monitoring_attrs/nr_regions/min", context);
	err = err ? err : set(ask->count, "%s/targets/nr_targets", context);
	for (size_t i = 0; i < ask->count && !err; i++)
		err = set((uint64_t)ask->processes[i].pid, "%s/targets/%zu/pid_target", context, i);
	return err;
}

/* The thread that looks writes all records, so it must stay on the CPU whose records are read. */
static int start(int cpu, int *thread)
{
	uint64_t pid;
	cpu_set_t only;
	int err = bede_write_text(AT_FDCWD, ADMIN "/0/state", "on");

	err = err ? err : read_number(ADMIN "/0/pid", &pid);
	if (err)
		return err;
	CPU_ZERO(&only);
	CPU_SET((unsigned)cpu, &only);
	*thread = (int)pid;
	return sched_setaffinity(*thread, sizeof(only), &only) ? -errno : 0;
}

/* CPU time of the thread that looks; 0 if that cannot be determined. */
static uint64_t used_by(int thread)
{
	char path[64];
	uint64_t nanoseconds;

	(void)snprintf(path, sizeof(path), "/proc/%d/schedstat", thread);
	return read_number(path, &nanoseconds) ? 0 : nanoseconds / 1000;
}

enum { TARGET, START, STOP, ACCESSES, COUNT };
static const char *const fields[] = { "target_id", "start", "end", "nr_accesses", "nr_regions" };

struct collected {
	const struct bede_heat_ask *ask;
	struct bede_heat *out;
	uint64_t target, end,
		count; /* of the last record: its target, its end, and the target's records so far */
	bool done;
};

static int collect(void *context, const uint64_t *values)
{
	struct collected *collected = context;
	const struct bede_heat_ask *ask = collected->ask;

	/* The records come in order. If one is not, it is of the next measurement, which has begun meanwhile. */
	if (values[TARGET] < collected->target ||
	    (values[TARGET] == collected->target && values[START] < collected->end))
		collected->done = true;
	if (collected->done || values[TARGET] >= ask->count || values[START] >= values[STOP])
		return 0;
	collected->count = values[TARGET] == collected->target ? collected->count + 1 : 1;
	collected->target = values[TARGET];
	collected->end = values[STOP];
	collected->done = values[TARGET] == ask->count - 1 && collected->count == values[COUNT];
	struct bede_range range = { .pid = ask->processes[values[TARGET]].pid,
				    .heat = (unsigned)(minimum(values[ACCESSES], ask->windows) *
						       BEDE_HEAT_ALWAYS / ask->windows),
				    .start = values[START],
				    .end = values[STOP] };

	return bede_ranges_add(&collected->out->ranges, range);
}

/* Wait for the end of the last window, at which DAMON writes a record for each region. */
static int await(const struct bede_heat_ask *ask, struct bede_heat *out)
{
	struct collected collected = { .ask = ask, .out = out };
	uint64_t until = now_us() + ask->window_us * ask->windows * 2 + SLOWEST_US;
	struct bede_visit visit;
	int quiet = 0;

	bede_visit_open(&visit, bede_visit_helps(), ask->processes, ask->count);
	while (now_us() < until) {
		if (!*ask->wanted)
			return -EINTR;
		/* DAMON is a thread of the kernel, which has no translations of its own: no CPU forgets any for it. */
		bede_visit_all(&visit, ask->wanted);
		usleep(SLICE_US);
		if (ask->meanwhile)
			ask->meanwhile(ask->context);
		int count = bede_trace_read(&trace, collect, &collected);

		if (count < 0)
			return count;
		quiet = count ? 0 : quiet + 1;
		if (collected.done || (out->ranges.count && quiet == QUIET_SLICES))
			return 0;
	}
	return out->ranges.count ? 0 : -ETIMEDOUT;
}

static int look(const struct bede_heat_ask *ask, struct bede_heat *out)
{
	int cpu = sched_getcpu(), thread = 0, err = 0;
	uint64_t least = regions(ask);

	if (trace.instance < 0)
		err = bede_trace_open(&trace, INSTANCE, "damon/damon_aggregated", fields,
				      sizeof(fields) / sizeof(*fields));
	err = err ? err : bede_trace_listen(&trace, cpu, (least * ask->count + LEAST_REGIONS) * RECORD);
	err = err ? err : set_up(ask, least);
	err = err ? err : start(cpu, &thread);
	err = err ? err : await(ask, out);
	out->used_us = thread ? used_by(thread) : 0;
	end();
	bede_trace_hush(&trace);
	return err;
}

static int measure(const struct bede_heat_ask *ask, struct bede_heat *out)
{
	if (pthread_mutex_trylock(&one_at_a_time))
		return -EBUSY;
	char was = 0;
	BEDE_FD other = open_text(STAT, O_RDONLY);

	if (other >= 0 && read(other, &was, 1) == 1 && was == 'Y')
		(void)bede_write_text(AT_FDCWD, STAT, "N");
	int err = claim();

	err = err ? err : look(ask, out);
	if (was == 'Y')
		(void)bede_write_text(AT_FDCWD, STAT, "Y");
	pthread_mutex_unlock(&one_at_a_time);
	return err;
}

static void close_trace(void)
{
	pthread_mutex_lock(&one_at_a_time);
	if (trace.instance >= 0)
		bede_trace_close(&trace, INSTANCE);
	pthread_mutex_unlock(&one_at_a_time);
}

const struct bede_heat_source bede_damon = { .measure = measure, .close = close_trace };
