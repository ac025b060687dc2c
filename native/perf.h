/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Samples of the memory that a cgroup's processes access, by perf_event_open(2): for each CPU one event, which counts while a task
 * of that cgroup or of one below it runs there, and a ring of records that is mapped.
 *
 * Opening takes CAP_PERFMON. Sources: include/uapi/linux/perf_event.h, kernel/events/core.c, perf_event_open(2).
 */
#ifndef BEDE_PERF_H
#define BEDE_PERF_H

#include <stddef.h>
#include <stdint.h>

#include "pmu.h"

/* One access. */
struct bede_sample {
	int pid;
	uint64_t time_us; /* as now_us() has it */
	uint64_t address;
};

typedef int bede_perf_visit(void *context, const struct bede_sample *sample);

/* What the records have told since this was last set to zero. */
struct bede_perf_told {
	uint64_t samples;   /* all of them: each was an interrupt */
	uint64_t lost;	    /* for which there was no room */
	uint64_t throttled; /* times that the kernel stopped a CPU's event for some milliseconds */
};

/*
 * Go over the records of a ring of size bytes, from *tail to head, as its first page counts them; *tail is moved on. visit is called
 * for each access of a process that missed the caches; if it returns non-zero, the walk ends with that value. Returns 0, or
 * -EINVAL if the records are malformed.
 */
int bede_perf_parse(const unsigned char *ring, size_t size, uint64_t head, uint64_t *tail,
		    bede_perf_visit *visit, void *context, struct bede_perf_told *told);

struct bede_perf_cpu {
	int event, companion; /* descriptors; the second is -1 without one */
	void *ring;
};

/* Zeroed memory stands for none. */
struct bede_perf {
	struct bede_perf_cpu *cpu;
	size_t count;
};

#define BEDE_CGROUPS "/sys/fs/cgroup" /* where the root of the cgroups is mounted */

/*
 * Whether the kernel lets the agent have such an event, for a cgroup, once it has dropped CAP_SYS_ADMIN, too: 0 or a negative errno.
 * cgroups is the path of the root cgroup.
 */
int bede_perf_try(const struct bede_event *event, const char *cgroups);

/*
 * Sample one of so many of the event, in the cgroup (version 2) whose directory is open at cgroup. Returns 0 or a negative
 * errno: then there is nothing to close.
 */
int bede_perf_open(const struct bede_event *event, int cgroup, uint64_t period, struct bede_perf *out);

/* From now on sample one of so many. Returns 0 or a negative errno. */
int bede_perf_set_period(const struct bede_perf *perf, uint64_t period);

/* Go over all records that are there, as bede_perf_parse does. Malformed ones are skipped. */
int bede_perf_read(const struct bede_perf *perf, bede_perf_visit *visit, void *context,
		   struct bede_perf_told *told);

void bede_perf_close(struct bede_perf *perf);

#endif
