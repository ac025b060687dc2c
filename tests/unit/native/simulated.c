/* SPDX-License-Identifier: Apache-2.0 */
/* What exchange.c calls of the kernel, of heat.h, pages.h, vmas.h and ticket.h, for simulated memory. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "exchange.h"
#include "roomiest.h"
#include "scores.h"
#include "simulated.h"
#include "units.h"

#define REGION 64 /* pages of which one is looked at where there are no samples */
#define BASE 0x10000000ULL
#define PID 7 /* of the first process */
#define APART \
	(1ULL << 40) /* between the addresses of two processes; they do not matter but for being different */
#define LOOK_NS 100  /* of CPU time, to look at one page in one window (docs/placement.md) */
#define MOVE_NS 2400 /* to move one page (placement of pages by move_pages) */
#define LIST_NS 1000 /* to read a range's place in the list, to sort it and to find its node */
#define SCAN_SECONDS 4.0
#define BURST_S 4ULL /* a burst, and the rest after it */
#define RESTS_BY 20
#define TURN_NS 400000000

struct memory memory;
uint64_t clock_ns = 1000000000, cpu_ns, moved_pages, slower = 1;

int clock_gettime(clockid_t clock, struct timespec *out)
{
	(void)clock;
	*out = (struct timespec){ .tv_sec = (time_t)(clock_ns / 1000000000),
				  .tv_nsec = (long)(clock_ns % 1000000000) };
	return 0;
}

static void spend(uint64_t ns)
{
	cpu_ns += ns * slower;
	clock_ns += ns * slower;
}

double chance(void)
{
	return drand48();
}

int bede_roomiest(uint64_t mask)
{
	return __builtin_ctzll(mask);
}

static size_t first_of(size_t process)
{
	return memory.shared ? 0 : process * memory.pages / memory.processes;
}

/* The page before which the memory of that process ends. */
static size_t end_of(size_t process)
{
	return memory.shared ? memory.pages : first_of(process + 1);
}

/* How many accesses a second of a page are that process's. */
static double rate_of(size_t process, size_t page)
{
	double share = !memory.shared ? 1 : page % memory.processes == process ? 0.7 : 0.3 / 3;
	bool rests = memory.bursts && clock_ns / (BURST_S * 1000000000) % 2;

	if (memory.turns)
		share = clock_ns / TURN_NS % 2 == page % 2 ? 2 : 0;
	return memory.rate[page] * share / (rests ? RESTS_BY : 1);
}

/* How many pages are moved with this one, which is the first of them. */
static size_t length_of(size_t page)
{
	return page < memory.huge ? HUGE_PAGE / PAGE : 1;
}

static size_t index_of(const void *address)
{
	uint64_t offset = (uintptr_t)address - BASE;

	return first_of(offset / APART) + offset % APART / PAGE;
}

static bool is_mapped(const void *address)
{
	size_t process = ((uintptr_t)address - BASE) / APART;

	return !memory.shared || memory.mapped[process * memory.pages + index_of(address)];
}

/* A range of pages of one process, from first to before end. */
static struct bede_range range_of(size_t process, size_t first, size_t end, unsigned heat)
{
	uint64_t base = BASE + process * APART, start = first - first_of(process);

	return (struct bede_range){ .pid = PID + (int)process,
				    .heat = heat,
				    .start = base + start * PAGE,
				    .end = base + (start + end - first) * PAGE };
}

int bede_vmas_read(struct bede_vmas *vmas, int dir, uint64_t local_mask, bool (*stopped)(void *context),
		   void *context)
{
	static struct bede_process processes[MOST_PROCESSES];
	int err = 0;

	(void)dir, (void)local_mask, (void)stopped, (void)context;
	vmas->processes = processes;
	vmas->count = memory.processes;
	vmas->ranges.count = 0;
	vmas->memory = memory.pages * PAGE;
	for (size_t i = 0; i < memory.processes && !err; i++) {
		struct bede_range range = range_of(i, first_of(i), end_of(i), BEDE_UNKNOWN_HEAT);

		range.nodes = 3;
		range.object = memory.shared;
		range.shift = memory.shared ? range.start : 0;
		processes[i] = (struct bede_process){ .pid = range.pid,
						      .bytes = range.end - range.start,
						      .span = range.end - range.start };
		err = bede_ranges_add(&vmas->ranges, range);
	}
	return err;
}

void bede_vmas_free(struct bede_vmas *vmas)
{
	free(vmas->ranges.at);
}

/* Whether the scan comes by a page in a window that begins now. */
static bool is_scanned(size_t page, double window)
{
	double at = fmod((double)clock_ns / 1e9, SCAN_SECONDS) / SCAN_SECONDS;
	double place = (double)page / (double)memory.pages - at;

	return memory.scanned && (place < 0 ? place + 1 : place) < window / SCAN_SECONDS;
}

/* Look at a process's pages at the end of a window: which of them were in use. */
static void look(size_t process, double window, unsigned *times)
{
	for (size_t page = first_of(process); page < end_of(process); page += length_of(page)) {
		double all = rate_of(process, page) * (double)length_of(page);
		bool used = chance() < 1 - exp(-all * window) || is_scanned(page, window);

		times[page] += used;
		memory.mapped[process * memory.pages + page] |= used;
	}
	spend((end_of(process) - first_of(process)) * LOOK_NS);
}

static int report(size_t process, const unsigned *times, unsigned windows, struct bede_heat *out)
{
	int err = 0;

	for (size_t page = first_of(process), end; page < end_of(process) && !err; page = end) {
		for (end = page + length_of(page); end < end_of(process) && times[end] == times[page];)
			end += length_of(end);
		err = bede_ranges_add(&out->ranges,
				      range_of(process, page, end, times[page] * BEDE_HEAT_ALWAYS / windows));
		spend(LIST_NS);
	}
	return err;
}

/* As DAMON sees much memory: it looks at one page of each region. */
static void blur(unsigned *times)
{
	for (size_t first = 0; first < memory.pages; first += REGION) {
		size_t end = minimum(first + REGION, memory.pages);
		unsigned seen = times[first + (size_t)(drand48() * (double)(end - first))];

		for (size_t i = first; i < end; i++)
			times[i] = seen;
	}
}

int bede_heat_measure(const struct bede_heat_ask *ask, struct bede_heat *out)
{
	static unsigned measured;
	unsigned *times = calloc(memory.pages * memory.processes, sizeof(*times));
	int err = 0;

	for (unsigned i = 0; i < ask->windows; i++) {
		clock_ns += ask->window_us * 1000;
		for (size_t process = 0; process < memory.processes; process++)
			look(process, (double)ask->window_us / 1e6, times + process * memory.pages);
	}
	out->sampled = memory.sampled && !ask->soon && ++measured % 3;
	if (memory.sampled && !out->sampled)
		blur(times);
	for (size_t process = 0; process < memory.processes && !err; process++)
		err = report(process, times + process * memory.pages, ask->windows, out);
	out->by_page = true;
	out->seen = bede_scores_use(&out->ranges) / BEDE_HEAT_ALWAYS;
	free(times);
	return err;
}

int bede_pages_add(struct bede_pages *pages, const struct bede_range *range, uint64_t *at)
{
	pages->pid = range->pid;
	while (*at < range->end && pages->count < BEDE_BATCH) {
		pages->at[pages->count] = (void *)(uintptr_t)*at;
		pages->heat[pages->count] = range->heat;
		pages->key[pages->count] = bede_recent_key(bede_range_owner(range), *at - range->shift);
		pages->size[pages->count] = length_of(index_of(pages->at[pages->count])) * PAGE;
		*at += pages->size[pages->count++];
	}
	return 0;
}

int bede_pages_keep(struct bede_pages *pages, size_t first, uint64_t mask)
{
	size_t count = pages->count;

	pages->count = first;
	for (size_t i = first; i < count; i++) {
		if (!(mask >> memory.node[index_of(pages->at[i])] & 1) || !is_mapped(pages->at[i]))
			continue;
		pages->at[pages->count] = pages->at[i];
		pages->size[pages->count] = pages->size[i];
		pages->key[pages->count] = pages->key[i];
		pages->heat[pages->count++] = pages->heat[i];
	}
	return 0;
}

int bede_pages_move(struct bede_pages *pages, size_t count, int target, uint64_t *moved)
{
	uint64_t before = *moved;

	for (size_t i = 0; i < count; i++) {
		size_t page = index_of(pages->at[i]), length = length_of(page);

		if (!memory.stuck[page] && memory.node[page] != target) {
			memory.local += target == 0 ? length : -length;
			memset(memory.node + page, target, length);
			*moved += length * PAGE;
			moved_pages += length;
			spend(length * MOVE_NS);
		}
		pages->node[i] = memory.node[page];
	}
	if (memory.local > memory.highest)
		memory.highest = memory.local;
	return *moved > before || !count ? 0 : -EBUSY;
}

/* Pages that are charged, but on no list, and count as local: they come and go. */
static size_t other_memory(void)
{
	return memory.others && chance() < 0.5 ? (size_t)(chance() * (double)memory.others) : 0;
}

/* As the holder: what was demoted, and what the bound leaves. */
uint64_t bede_ticket_take(struct bede_ticket *ticket, uint64_t bytes, uint64_t demoted)
{
	uint64_t used = minimum(memory.bound, memory.local + other_memory());

	(void)ticket, (void)demoted;
	return minimum(bytes, (memory.bound - used) * PAGE);
}

void bede_ticket_give_back(struct bede_ticket *ticket)
{
	(void)ticket;
}

void demote_any(size_t count)
{
	while (count && memory.local) {
		size_t page = (size_t)(drand48() * (double)memory.pages);

		if (memory.node[page])
			continue;
		memory.node[page] = 1;
		memory.local--;
		count--;
	}
}
