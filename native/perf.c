/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "perf.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "kfile.h"
#include "units.h"

/*
 * Bytes of a CPU's ring, a power of two: 3276 samples, those of 65 ms if all come from one CPU (WANTED_A_SECOND in sampled.c). The
 * kernel lets each user have 512 KiB for each CPU (perf_event_mlock_kb).
 */
#define RING (32 * PAGE)
#define PARANOID "/proc/sys/kernel/perf_event_paranoid"
#define MOST_PARANOID 2
#define END_OF_PROCESSES (1ULL << 56) /* beyond all addresses of processes */

/* The caches among the levels that a sample names: L1 to L4, newer names of some, and "any cache". */
#define LAST_CACHE 7
#define ANY_CACHE PERF_MEM_LVLNUM_ANY_CACHE

/* The records that matter, by the attributes of open_event. */
union record {
	struct perf_event_header head;
	struct {
		struct perf_event_header head;
		uint32_t pid, tid;
		uint64_t time_ns, address;
		union perf_mem_data_src source;
	} sample;
	struct {
		struct perf_event_header head;
		uint64_t id, lost;
	} lost;
	struct {
		struct perf_event_header head;
		uint64_t lost;
	} lost_samples;
};

static void copy(const unsigned char *ring, size_t size, uint64_t from, void *out, size_t length)
{
	size_t at = from & (size - 1);
	size_t first = minimum(length, size - at);

	memcpy(out, ring + at, first);
	memcpy((unsigned char *)out + first, ring, length - first);
}

static uint64_t plus(uint64_t a, uint64_t b)
{
	uint64_t sum;

	return __builtin_add_overflow(a, b, &sum) ? UINT64_MAX : sum;
}

/* Whether it is an access to memory by a process: a cache hit is not, and in a virtual machine addresses are the machine's own. */
static bool is_access(const union record *record)
{
	unsigned mode = record->head.misc & PERF_RECORD_MISC_CPUMODE_MASK;
	unsigned level = record->sample.source.mem_lvl_num;
	uint64_t address = record->sample.address;

	return mode != PERF_RECORD_MISC_GUEST_USER && mode != PERF_RECORD_MISC_GUEST_KERNEL && address &&
	       address < END_OF_PROCESSES && (!level || level > LAST_CACHE) && level != ANY_CACHE;
}

static int take(const union record *record, bede_perf_visit *visit, void *context,
		struct bede_perf_told *told)
{
	switch (record->head.type) {
	case PERF_RECORD_SAMPLE:
		if (record->head.size < sizeof(record->sample))
			return -EINVAL;
		told->samples++;
		if (!is_access(record))
			return 0;
		return visit(context, &(struct bede_sample){ .pid = (int)record->sample.pid,
							     .time_us = record->sample.time_ns / 1000,
							     .address = record->sample.address });
	case PERF_RECORD_LOST:
		if (record->head.size < sizeof(record->lost))
			return -EINVAL;
		told->lost = plus(told->lost, record->lost.lost);
		return 0;
	case PERF_RECORD_LOST_SAMPLES:
		if (record->head.size < sizeof(record->lost_samples))
			return -EINVAL;
		told->lost = plus(told->lost, record->lost_samples.lost);
		return 0;
	case PERF_RECORD_THROTTLE:
		told->throttled++;
		return 0;
	default:
		return 0;
	}
}

int bede_perf_parse(const unsigned char *ring, size_t size, uint64_t head, uint64_t *tail,
		    bede_perf_visit *visit, void *context, struct bede_perf_told *told)
{
	if (!size || size & (size - 1) || *tail > head || head - *tail > size)
		return -EINVAL;
	while (*tail != head) {
		union record record = { 0 };
		uint64_t left = head - *tail;

		if (left < sizeof(record.head))
			return -EINVAL;
		copy(ring, size, *tail, &record.head, sizeof(record.head));

		size_t length = record.head.size;

		if (length < sizeof(record.head) || length > left)
			return -EINVAL;
		copy(ring, size, *tail, &record, minimum(length, sizeof(record)));
		*tail += length;
		int err = take(&record, visit, context, told);

		if (err)
			return err;
	}
	return 0;
}

static int open_event(const struct bede_event *event, uint64_t period, int target, int cpu, int leader,
		      unsigned long flags)
{
	struct perf_event_attr attr = { .type = event->type,
					.size = sizeof(attr),
					.config = event->config[0],
					.config1 = event->config[1],
					.config2 = event->config[2],
					.sample_period = period,
					.sample_type = PERF_SAMPLE_TID | PERF_SAMPLE_TIME | PERF_SAMPLE_ADDR |
						       PERF_SAMPLE_DATA_SRC,
					.disabled = 1,
					.precise_ip = event->precise ? 2 : 0,
					.exclude_kernel = event->excludes,
					.exclude_guest = event->excludes,
					.use_clockid = 1,
					.clockid = CLOCK_MONOTONIC };
	long fd = syscall(SYS_perf_event_open, &attr, target, cpu, leader, flags | PERF_FLAG_FD_CLOEXEC);

	return fd < 0 ? -errno : (int)fd;
}

static int open_companion(const struct bede_event *event, int target, int cpu, unsigned long flags)
{
	const struct bede_event other = { .type = event->type,
					  .config = { event->companion },
					  .excludes = event->excludes };

	return open_event(&other, 0, target, cpu, -1, flags);
}

static void close_cpu(struct bede_perf_cpu *one)
{
	if (one->ring)
		munmap(one->ring, PAGE + RING);
	bede_close(&one->event);
	bede_close(&one->companion);
	*one = (struct bede_perf_cpu){ .event = -1, .companion = -1 };
}

static int open_both(const struct bede_event *event, uint64_t period, int target, int cpu,
		     unsigned long flags, struct bede_perf_cpu *out)
{
	*out = (struct bede_perf_cpu){ .event = -1, .companion = -1 };
	if (event->companion)
		out->companion = open_companion(event, target, cpu, flags);
	if (event->companion && out->companion < 0)
		return out->companion;
	out->event = open_event(event, period, target, cpu, out->companion, flags);
	if (out->event >= 0)
		return 0;
	int err = out->event;

	close_cpu(out);
	return err;
}

static int open_cpu(const struct bede_event *event, uint64_t period, int cgroup, int cpu,
		    struct bede_perf_cpu *out)
{
	int err = open_both(event, period, cgroup, cpu, PERF_FLAG_PID_CGROUP, out);

	if (err)
		return err;
	void *ring = mmap(NULL, PAGE + RING, PROT_READ | PROT_WRITE, MAP_SHARED, out->event, 0);

	out->ring = ring == MAP_FAILED ? NULL : ring;
	/* Linux 6.16 and later say of a group's leader alone that it was throttled: let that be said in this ring. */
	if (out->companion >= 0)
		(void)ioctl(out->companion, PERF_EVENT_IOC_SET_OUTPUT, out->event);
	if (ring == MAP_FAILED || ioctl(out->companion < 0 ? out->event : out->companion,
					PERF_EVENT_IOC_ENABLE, PERF_IOC_FLAG_GROUP)) {
		err = -errno;
		close_cpu(out);
	}
	return err;
}

/* Whether events take CAP_SYS_ADMIN, as by default on Debian and Ubuntu; mainline knows no such level. */
static bool takes_admin(void)
{
	BEDE_FD fd = open(PARANOID, O_RDONLY | O_CLOEXEC);
	uint64_t level;

	/* Levels below 0, which allow more than 0 does, are no such numbers. */
	return fd >= 0 && !bede_read_u64(fd, &level) && level > MOST_PARANOID;
}

int bede_perf_try(const struct bede_event *event, const char *cgroups)
{
	BEDE_FD root = open(cgroups, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct bede_perf_cpu one;

	if (root < 0)
		return -errno;
	if (takes_admin())
		return -EACCES;
	int err = open_both(event, event->least_period, root, 0, PERF_FLAG_PID_CGROUP, &one);

	if (!err)
		close_cpu(&one);
	return err;
}

int bede_perf_open(const struct bede_event *event, int cgroup, uint64_t period, struct bede_perf *out)
{
	long cpus = sysconf(_SC_NPROCESSORS_CONF);

	*out = (struct bede_perf){ .cpu = calloc(cpus > 0 ? (size_t)cpus : 1, sizeof(*out->cpu)) };
	if (!out->cpu)
		return -ENOMEM;
	for (int cpu = 0; cpu < cpus; cpu++) {
		int err = open_cpu(event, period, cgroup, cpu, &out->cpu[out->count]);

		/* One that is offline now is left out. */
		if (err && err != -ENODEV) {
			bede_perf_close(out);
			return err;
		}
		out->count += !err;
	}
	return 0;
}

int bede_perf_set_period(const struct bede_perf *perf, uint64_t period)
{
	for (size_t i = 0; i < perf->count; i++)
		if (ioctl(perf->cpu[i].event, PERF_EVENT_IOC_PERIOD, &period))
			return -errno;
	return 0;
}

int bede_perf_read(const struct bede_perf *perf, bede_perf_visit *visit, void *context,
		   struct bede_perf_told *told)
{
	int err = 0;

	for (size_t i = 0; i < perf->count && !err; i++) {
		struct perf_event_mmap_page *page = perf->cpu[i].ring;
		uint64_t head = __atomic_load_n(&page->data_head, __ATOMIC_ACQUIRE);
		uint64_t tail = page->data_tail;

		err = bede_perf_parse((const unsigned char *)page + PAGE, RING, head, &tail, visit, context,
				      told);
		if (err == -EINVAL) {
			tail = head;
			err = 0;
		}
		/* Only now may the kernel write there again. */
		__atomic_store_n(&page->data_tail, tail, __ATOMIC_RELEASE);
	}
	return err;
}

void bede_perf_close(struct bede_perf *perf)
{
	for (size_t i = 0; i < perf->count; i++)
		close_cpu(&perf->cpu[i]);
	free(perf->cpu);
	*perf = (struct bede_perf){ 0 };
}
