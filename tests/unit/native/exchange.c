/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs the exchange of pages on simulated memory: exchange.c, search.c, scores.c and what they use are the real ones;
 * clock, memory, heat, move_pages and tickets are simulated.
 *
 *     exchange LOAD PAGES BOUND SEED RATE SECONDS [stuck]
 *
 * A process has PAGES pages and accesses RATE of them a second, by one of these loads:
 *
 *     zipf    page of rank r with a weight of r ** -0.99, in random order
 *     region  a block of three quarters of BOUND is in use, at random; the rest hardly ever
 *     moved   as zipf; after half of the time the ranks are given to other pages
 *     jump    as region; after half of the time another part is in use
 *     scan    as region, beside a scan of all pages, which takes four seconds a time
 *
 * BOUND of the pages are local at first, spread evenly. With "stuck" these are the first ones, and the first half of them
 * cannot be moved. It prints a line for each measurement: seconds, share of accesses that are local, the same with the best
 * pages local, CPU time so far in microseconds, pages moved so far, pages moved in vain so far, highest number of local
 * pages so far, and the estimates of bede_hits_estimate.
 */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exchange.h"
#include "hits.h"
#include "roomiest.h"
#include "units.h"

#define BASE 0x10000000ULL
#define PID 7
#define LOOK_NS 100  /* of CPU time, to look at one page in one window (docs/holding.md) */
#define MOVE_NS 2400 /* to move one page (placement of pages by move_pages) */
#define LIST_NS 1000 /* to read a range's place in the list, to sort it and to find its node */
#define SCAN_SECONDS 4.0

static uint64_t clock_ns = 1000000000, cpu_ns, moved_pages;
static struct memory {
	size_t pages, bound, local, highest;
	double *rate; /* accesses a second */
	unsigned char *node;
	bool *stuck, scanned;
} memory;

int clock_gettime(clockid_t clock, struct timespec *out)
{
	(void)clock;
	*out = (struct timespec){ .tv_sec = (time_t)(clock_ns / 1000000000),
				  .tv_nsec = (long)(clock_ns % 1000000000) };
	return 0;
}

static void spend(uint64_t ns)
{
	cpu_ns += ns;
	clock_ns += ns;
}

static double chance(void)
{
	return drand48();
}

/* The simulated kernel. */

int bede_roomiest(uint64_t mask)
{
	return __builtin_ctzll(mask);
}

int bede_vmas_read(struct bede_vmas *vmas, int dir, uint64_t local_mask, bool (*stopped)(void *context),
		   void *context)
{
	static struct bede_process process = { .pid = PID };

	(void)dir, (void)local_mask, (void)stopped, (void)context;
	process.bytes = process.span = memory.pages * PAGE;
	vmas->processes = &process;
	vmas->count = 1;
	vmas->ranges.count = 0;
	return bede_ranges_add(&vmas->ranges, (struct bede_range){ .pid = PID,
								   .heat = BEDE_UNKNOWN_HEAT,
								   .nodes = 3,
								   .start = BASE,
								   .end = BASE + memory.pages * PAGE });
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

int bede_heat_measure(const struct bede_heat_ask *ask, struct bede_heat *out)
{
	double window = (double)ask->window_us / 1e6;
	unsigned *times = calloc(memory.pages, sizeof(*times));
	int err = 0;

	for (unsigned i = 0; i < ask->windows; i++) {
		for (size_t page = 0; page < memory.pages; page++)
			times[page] +=
				chance() < 1 - exp(-memory.rate[page] * window) || is_scanned(page, window);
		clock_ns += ask->window_us * 1000;
		spend(memory.pages * LOOK_NS);
	}
	for (size_t page = 0, end; page < memory.pages && !err; page = end) {
		for (end = page + 1; end < memory.pages && times[end] == times[page];)
			end++;
		err = bede_ranges_add(
			&out->ranges,
			(struct bede_range){ .pid = PID,
					     .heat = times[page] * BEDE_HEAT_ALWAYS / ask->windows,
					     .start = BASE + page * PAGE,
					     .end = BASE + end * PAGE });
		spend(LIST_NS);
	}
	free(times);
	return err;
}

static size_t index_of(const void *address)
{
	return ((uintptr_t)address - BASE) / PAGE;
}

int bede_pages_add(struct bede_pages *pages, const struct bede_range *range, uint64_t *at)
{
	pages->pid = range->pid;
	for (; *at < range->end && pages->count < BEDE_BATCH; *at += PAGE) {
		pages->at[pages->count] = (void *)(uintptr_t)*at;
		pages->heat[pages->count] = range->heat;
		pages->size[pages->count++] = PAGE;
	}
	return 0;
}

int bede_pages_keep(struct bede_pages *pages, size_t first, uint64_t mask)
{
	size_t count = pages->count;

	pages->count = first;
	for (size_t i = first; i < count; i++) {
		if (!(mask >> memory.node[index_of(pages->at[i])] & 1))
			continue;
		pages->at[pages->count] = pages->at[i];
		pages->size[pages->count] = PAGE;
		pages->heat[pages->count++] = pages->heat[i];
	}
	return 0;
}

int bede_pages_move(struct bede_pages *pages, size_t count, int target, uint64_t *moved)
{
	uint64_t before = *moved;

	for (size_t i = 0; i < count; i++) {
		size_t page = index_of(pages->at[i]);

		if (!memory.stuck[page] && memory.node[page] != target) {
			memory.local += target == 0 ? 1 : -1UL;
			memory.node[page] = (unsigned char)target;
			*moved += PAGE;
			moved_pages++;
			spend(MOVE_NS);
		}
		pages->node[i] = memory.node[page];
	}
	if (memory.local > memory.highest)
		memory.highest = memory.local;
	return *moved > before || !count ? 0 : -EBUSY;
}

/* As the holder: what was demoted, and what the bound leaves. */
uint64_t bede_ticket_take(struct bede_ticket *ticket, uint64_t bytes, uint64_t demoted)
{
	uint64_t room = (memory.bound - minimum(memory.bound, memory.local)) * PAGE;

	(void)ticket, (void)demoted;
	return minimum(bytes, room);
}

void bede_ticket_give_back(struct bede_ticket *ticket)
{
	(void)ticket;
}

/* The simulated load. */

static size_t *random_order(size_t count)
{
	size_t *order = calloc(count, sizeof(*order));

	for (size_t i = 0; i < count; i++) {
		size_t j = (size_t)(chance() * (double)(i + 1));

		order[i] = order[j];
		order[j] = i;
	}
	return order;
}

static void set_rates(bool scattered, double all, bool later)
{
	size_t pages = memory.pages, hot = memory.bound * 3 / 4, start = later ? pages - hot : pages / 3;
	double sum = 0;
	size_t *order = random_order(pages);

	for (size_t rank = 0; rank < pages; rank++) {
		size_t page = scattered ? order[rank] : rank;

		memory.rate[page] = scattered ? pow((double)rank + 1, -0.99) : rank - start < hot ? 1 : 0.001;
		sum += memory.rate[page];
	}
	for (size_t page = 0; page < pages; page++)
		memory.rate[page] *= all / sum;
	free(order);
}

static int descending(const void *left, const void *right)
{
	double a = *(const double *)left, b = *(const double *)right;

	return (a < b) - (a > b);
}

/* Shares of the accesses: of what is local, and of as many of the best pages. */
static void show(uint64_t vain, const struct bede_hits *hits)
{
	double *sorted = calloc(memory.pages, sizeof(*sorted));
	double all = 0, local = 0, best = 0;

	memcpy(sorted, memory.rate, memory.pages * sizeof(*sorted));
	qsort(sorted, memory.pages, sizeof(*sorted), descending);
	for (size_t page = 0; page < memory.pages; page++) {
		all += sorted[page];
		best += page < memory.bound ? sorted[page] : 0;
		local += memory.node[page] ? 0 : memory.rate[page];
	}
	printf("%.3f %.4f %.4f %" PRIu64 " %" PRIu64 " %" PRIu64 " %zu %u %u\n", (double)clock_ns / 1e9 - 1,
	       local / all, best / all, cpu_ns / 1000, moved_pages, (uint64_t)(vain / PAGE), memory.highest,
	       hits->local, hits->best);
	free(sorted);
}

static void paid(void *context, uint64_t demoted, uint64_t promoted)
{
	(void)context, (void)demoted, (void)promoted;
}

static bool stopped(void *context)
{
	(void)context;
	return false;
}

int main(int argc, char **argv)
{
	if (argc < 7)
		return 2;
	const char *load = argv[1];
	bool scattered = !strcmp(load, "zipf") || !strcmp(load, "moved");
	bool moves = !strcmp(load, "moved") || !strcmp(load, "jump"), moved = false;
	bool stuck = argc > 7 && !strcmp(argv[7], "stuck");
	double rate = atof(argv[5]), seconds = atof(argv[6]);

	srand48(atol(argv[4]));
	memory = (struct memory){ .pages = strtoull(argv[2], NULL, 10),
				  .bound = strtoull(argv[3], NULL, 10),
				  .scanned = !strcmp(load, "scan") };
	memory.rate = calloc(memory.pages, sizeof(*memory.rate));
	memory.node = malloc(memory.pages);
	memory.stuck = calloc(memory.pages, sizeof(*memory.stuck));
	memset(memory.node, 1, memory.pages);
	for (size_t i = 0; i < memory.bound; i++) {
		memory.node[stuck ? i : i * memory.pages / memory.bound] = 0;
		memory.stuck[i] = stuck && i < memory.bound / 2;
	}
	memory.local = memory.highest = memory.bound;
	set_rates(scattered, rate, false);

	struct bede_search search = { .stopped = stopped };
	struct bede_pages *lists = calloc(2, sizeof(*lists));
	struct bede_ticket ticket = { 0 };
	struct bede_exchange exchange = {
		.search = &search, .cold = &lists[0], .hot = &lists[1], .ticket = &ticket
	};
	struct bede_hits hits = { 0 };
	atomic_int wanted = 1;
	uint64_t bytes = memory.bound * PAGE, parts = bytes / 128, vain = 0;
	struct bede_exchange_ask ask = { .heat = { .bound = bytes, .wanted = &wanted },
					 .most = bytes,
					 .ticket = minimum(parts > 16 * PAGE ? parts : 16 * PAGE, 512 * PAGE),
					 .local_mask = 1,
					 .far_mask = 2,
					 .paid = paid };

	bede_exchange_open(&exchange);
	while ((double)clock_ns / 1e9 - 1 < seconds) {
		uint64_t before = cpu_ns, used;

		if (moves && !moved && (double)clock_ns / 1e9 - 1 > seconds / 2) {
			set_rates(scattered, rate, true);
			moved = true;
		}
		bede_search_refresh(&search, false);
		if (bede_exchange_measure(&exchange, &ask, &used))
			return 1;
		bede_exchange_run(&exchange, &ask);
		vain += exchange.bytes_vain;
		bede_hits_estimate(&search, &lists[0], 1, 2, bytes, &hits);
		show(vain, &hits);
		clock_ns += bede_exchange_pause(&exchange, (cpu_ns - before) / 1000) * 1000;
	}
	bede_exchange_close(&exchange);
	bede_search_free(&search);
	free(lists);
	free(memory.rate);
	free(memory.node);
	free(memory.stuck);
	return 0;
}
