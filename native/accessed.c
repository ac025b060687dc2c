/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Heat by the accessed bits in processes' page tables, page by page.
 *
 * Writing 1 to /proc/PID/clear_refs clears all of a process's accessed bits, at some 50 ns a page; programs of ours report
 * which of them were set (bpf.h). So a window is what lies between two such writes. DAMON takes twenty times as long for a
 * page. But a write holds the process's mmap_lock, and so stops its page faults meanwhile; therefore this source leaves
 * large processes to others. What a CPU keeps a translation of is not seen to be accessed, see visit.h. Sources: Documentation/filesystems/proc.rst, fs/proc/task_mmu.c (clear_refs_pte_range).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bpf.h"
#include "heat.h"
#include "units.h"
#include "visit.h"

#define MOST_BYTES (512ULL << 20) /* of one process: its page faults wait for 10 ms at most */
#define LAST (1ULL << 56)	  /* beyond all addresses of processes */
#define SLICE_US 20000		  /* between two looks whether the measurement is still wanted */

/* A page, as bpf.h reports it, and in how many windows it was accessed. */
struct seen {
	uint64_t page;
	unsigned times;
};

/* The pages of one process, addresses ascending. */
struct watched {
	int pid, clear;
	struct seen *at;
	size_t count;
};

static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;

/* Count pages, addresses ascending, once more. Returns 0 or -ENOMEM. */
static int count_again(struct watched *watched, const uint64_t *pages, uint64_t count)
{
	struct seen *all = reallocarray(NULL, watched->count + count + 1, sizeof(*all));
	size_t i = 0, out = 0;

	if (!all)
		return -ENOMEM;
	for (uint64_t j = 0; j < count; j++) {
		while (i < watched->count && watched->at[i].page < pages[j])
			all[out++] = watched->at[i++];
		if (i < watched->count && watched->at[i].page == pages[j]) {
			all[out] = watched->at[i++];
			all[out++].times++;
		} else {
			all[out++] = (struct seen){ .page = pages[j], .times = 1 };
		}
	}
	while (i < watched->count)
		all[out++] = watched->at[i++];
	free(watched->at);
	watched->at = all;
	watched->count = out;
	return 0;
}

/* End a window of one process. The first one has no beginning, and does not count. */
static int look(struct watched *watched, bool counts)
{
	uint64_t count;

	bede_bpf_rewind();
	if (watched->clear < 0)
		return 0;
	if (write(watched->clear, "1", 1) < 0)
		return errno == ESRCH ? 0 : -errno;
	const uint64_t *pages = bede_bpf_pages(&count);

	return counts ? count_again(watched, pages, count) : 0;
}

static int add(struct bede_ranges *out, int pid, uint64_t start, uint64_t end, unsigned heat)
{
	struct bede_range range = { .pid = pid, .heat = heat, .start = start, .end = end };

	return start < end ? bede_ranges_join(out, range) : 0;
}

/* What was seen, and what lies between, which was not accessed. */
static int report(const struct watched *watched, unsigned windows, struct bede_ranges *out)
{
	uint64_t at = 0;
	int err = 0;

	for (size_t i = 0; i < watched->count && !err; i++) {
		uint64_t start = watched->at[i].page & ~BEDE_BPF_HUGE;
		uint64_t end = start + (watched->at[i].page & BEDE_BPF_HUGE ? HUGE_PAGE : PAGE);

		err = add(out, watched->pid, at, start, 0);
		start = start > at ? start : at;
		err = err ? err :
			    add(out, watched->pid, start, end,
				watched->at[i].times * BEDE_HEAT_ALWAYS / windows);
		at = end > at ? end : at;
	}
	return err ? err : add(out, watched->pid, at, LAST, 0);
}

static int sleep_for(uint64_t us, const atomic_int *wanted)
{
	uint64_t until = now_us() + us;

	for (uint64_t now = now_us(); now < until; now = now_us()) {
		if (!*wanted)
			return -EINTR;
		usleep((useconds_t)minimum(until - now, SLICE_US));
	}
	return 0;
}

static int watch(struct watched *all, const struct bede_heat_ask *ask)
{
	int err = *ask->kept ? 0 : bede_bpf_attach();
	struct bede_visit visit;

	*ask->kept = !err;
	bede_visit_open(&visit, bede_visit_helps(), ask->processes, ask->count);
	for (unsigned window = 0; window <= ask->windows && !err; window++) {
		if (window)
			err = sleep_for(ask->window_us, ask->wanted);
		for (size_t i = 0; i < ask->count && !err; i++)
			err = look(&all[i], window);
		if (window < ask->windows && !err)
			bede_visit_all(&visit, ask->wanted);
	}
	bede_bpf_hush();
	return err;
}

static int measure(const struct bede_heat_ask *ask, struct bede_heat *out)
{
	struct watched all[BEDE_HEAT_TARGETS];
	char path[64];
	size_t count = 0;

	if (!bede_bpf_is_loaded())
		return -ENOENT;
	for (size_t i = 0; i < ask->count; i++)
		if (ask->processes[i].bytes > MOST_BYTES) {
			bede_heat_let_go(ask->kept);
			return -ENOENT;
		}
	if (pthread_mutex_trylock(&one_at_a_time))
		return -EBUSY;
	int err = 0;

	for (; count < ask->count && !err; count++) {
		(void)snprintf(path, sizeof(path), "/proc/%d/clear_refs", ask->processes[count].pid);
		all[count] = (struct watched){ .pid = ask->processes[count].pid,
					       .clear = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW) };
		/* A process that has ended meanwhile is measured as one that uses nothing. */
		if (all[count].clear < 0 && errno != ENOENT && errno != ESRCH)
			err = -errno;
	}
	err = err ? err : watch(all, ask);
	for (size_t i = 0; i < count; i++) {
		err = err ? err : report(&all[i], ask->windows, &out->ranges);
		bede_close(&all[i].clear);
		free(all[i].at);
	}
	out->by_page = true;
	pthread_mutex_unlock(&one_at_a_time);
	return err;
}

const struct bede_heat_source bede_accessed = { .measure = measure, .let_go = bede_bpf_detach };
