/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "heat.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "units.h"

#define ADMIN "/sys/kernel/mm/damon/admin/kdamonds"
#define STAT "/sys/module/damon_stat/parameters/enabled" /* DAMON_STAT (7.3) occupies DAMON while it is on */

#define SAMPLE_US 20000	    /* between two looks at a region */
#define AGGREGATE_US 500000 /* one measurement: 25 samples */
#define UPDATE_US 1000003   /* an unusual value, which marks a measurement as an agent's own */
#define LONGEST_US 600000   /* until the results are read, which waits for the end of an aggregation */
#define SLICE_US 20000	    /* between two looks whether the measurement is still wanted */
#define MIN_REGIONS 250	    /* for all processes together; DAMON begins with so many, of equal size */
#define MAX_REGIONS 1000

static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;

static int open_text(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC | O_NOFOLLOW);

	return fd < 0 ? -errno : fd;
}

static int write_text(const char *path, const char *text)
{
	BEDE_FD fd = open_text(path, O_WRONLY);

	if (fd < 0)
		return fd;
	return write(fd, text, strlen(text)) < 0 ? -errno : 0;
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
	return write_text(path, text);
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
	(void)write_text(ADMIN "/0/state", "off");
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

static int set_up(const int *pids, size_t count)
{
	static const char context[] = ADMIN "/0/contexts/0";
	int err = set(1, ADMIN "/nr_kdamonds");

	err = err ? err : set(1, ADMIN "/0/contexts/nr_contexts");
	err = err ? err : put("vaddr", "%s/operations", context);
	err = err ? err : set(SAMPLE_US, "%s/monitoring_attrs/intervals/sample_us", context);
	err = err ? err : set(AGGREGATE_US, "%s/monitoring_attrs/intervals/aggr_us", context);
	err = err ? err : set(UPDATE_US, "%s/monitoring_attrs/intervals/update_us", context);
	err = err ? err : set(MAX_REGIONS, "%s/monitoring_attrs/nr_regions/max", context);
	err = err ? err : set(MIN_REGIONS, "%s/monitoring_attrs/nr_regions/min", context);
	err = err ? err : set(count, "%s/targets/nr_targets", context);
	err = err ? err : set(count, "%s/schemes/nr_schemes", context);
	/* DAMON lists regions by scheme: make a scheme for each process, with a filter for that process. */
	for (size_t i = 0; i < count && !err; i++) {
		err = set((uint64_t)pids[i], "%s/targets/%zu/pid_target", context, i);
		err = err ? err : put("stat", "%s/schemes/%zu/action", context, i);
		err = err ? err : set(UINT64_MAX, "%s/schemes/%zu/access_pattern/sz/max", context, i);
		err = err ? err :
			    set(UINT32_MAX, "%s/schemes/%zu/access_pattern/nr_accesses/max", context, i);
		err = err ? err : set(UINT32_MAX, "%s/schemes/%zu/access_pattern/age/max", context, i);
		err = err ? err : set(1, "%s/schemes/%zu/filters/nr_filters", context, i);
		err = err ? err : put("target", "%s/schemes/%zu/filters/0/type", context, i);
		err = err ? err : set(i, "%s/schemes/%zu/filters/0/damon_target_idx", context, i);
		/* N: the filter excludes the regions that do not match. */
		err = err ? err : put("N", "%s/schemes/%zu/filters/0/matching", context, i);
	}
	return err ? err : put("on", ADMIN "/0/state");
}

static int collect(const int *pids, size_t count, struct bede_ranges *out)
{
	int err = put("update_schemes_tried_regions", ADMIN "/0/state");

	for (size_t i = 0; i < count && !err; i++) {
		for (size_t j = 0; j < MAX_REGIONS && !err; j++) {
			char path[192];
			uint64_t start, stop, heat;
			int length = snprintf(path, sizeof(path),
					      ADMIN "/0/contexts/0/schemes/%zu/tried_regions/%zu/", i, j);
			char *name = path + length;
			size_t left = sizeof(path) - (size_t)length;

			(void)snprintf(name, left, "start");
			if (read_number(path, &start))
				break;
			(void)snprintf(name, left, "end");
			err = read_number(path, &stop);
			(void)snprintf(name, left, "nr_accesses");
			err = err ? err : read_number(path, &heat);
			err = err ? err :
				    bede_ranges_add(out, (struct bede_range){ .pid = pids[i],
									      .heat = (unsigned)heat,
									      .start = start,
									      .end = stop });
		}
	}
	return err;
}

int bede_heat_measure(const int *pids, size_t count, atomic_int *wanted, struct bede_ranges *out)
{
	out->count = 0;
	if (!count || count > BEDE_HEAT_TARGETS)
		return count ? -E2BIG : 0;
	if (pthread_mutex_trylock(&one_at_a_time))
		return -EBUSY;
	char was = 0;
	BEDE_FD other = open_text(STAT, O_RDONLY);

	if (other >= 0 && read(other, &was, 1) == 1 && was == 'Y')
		(void)write_text(STAT, "N");
	int err = claim();

	if (!err) {
		err = set_up(pids, count);
		uint64_t until = now_us() + LONGEST_US;

		while (!err && now_us() < until) {
			if (!*wanted)
				err = -EINTR;
			else
				usleep(SLICE_US);
		}
		err = err ? err : collect(pids, count, out);
		end();
	}
	if (was == 'Y')
		(void)write_text(STAT, "Y");
	pthread_mutex_unlock(&one_at_a_time);
	return err;
}
