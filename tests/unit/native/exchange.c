/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs the exchange of pages on simulated memory: exchange.c, search.c, scores.c and what they use are the real ones;
 * clock, memory, heat, move_pages and tickets are simulated.
 *
 *     exchange LOAD PAGES BOUND SEED RATE SECONDS [stuck] [huge] [processes] [shared] [unfenced]
 *
 * A process has PAGES pages and accesses RATE of them a second, by one of these loads:
 *
 *     zipf    page of rank r with a weight of r ** -0.99, in random order
 *     records the same for records, of which four are in each page, at random
 *     tree    the same for the keys in a tree's leaves, of which 255 are in each page
 *     region  a block of three quarters of BOUND is in use, at random; the rest hardly ever
 *     moved   as zipf; after half of the time the ranks are given to other pages
 *     gradual as zipf; each second a hundredth of the pages get the ranks of others
 *     bursts  as zipf, but for four seconds of eight it does a twentieth of it
 *     turns   as region, but every other page of it for four tenths of a second, then the others, and so on
 *     jump    as region; after half of the time another part is in use
 *     scan    as region, beside a scan of all pages, which takes four seconds a time
 *     uniform all pages are used alike
 *     steps   a quarter of BOUND is used a hundred times as often as the rest, which is used alike
 *
 * BOUND of the pages are local at first, spread evenly. With "stuck" these are the first ones, and the first half of them
 * cannot be moved. With "huge" all but the last quarter are in huge pages; the load is one for each huge page then. With
 * "processes" four processes have a quarter of the pages each; with "shared" they have all of them, each uses a quarter of them
 * seven times as often as the others do, and has in its page table what it has used. With "unfenced" no ticket is needed. With
 * "churn" memory comes and goes between two measurements, so the kernel demotes a fifth of BOUND each time, at random.
 * With "slow" the processor takes eight times as long for what it does. With "buffers" up to an eighth of BOUND is sometimes taken by memory that is on no list.
 * With "sampled" the heat of pages is known by samples, but each third measurement lacks them, and is as DAMON's of much memory.
 *
 * It prints a line for each measurement: seconds, share of accesses that are local, the same with the best pages local, CPU time so
 * far in microseconds, pages moved so far, pages moved in vain so far, highest number of local pages so far, the estimates
 * of bede_hits_estimate, and the number of local pages.
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
#include "scores.h"
#include "units.h"

#define REGION 64   /* pages of which one is looked at where there are no samples */
#define CACHED 4096 /* records that are in a cache */
#define BASE 0x10000000ULL
#define PID 7 /* of the first process */
#define PROCESSES 4
#define APART \
	(1ULL << 40) /* between the addresses of two processes; they do not matter but for being different */
#define LOOK_NS 100  /* of CPU time, to look at one page in one window (docs/placement.md) */
#define MOVE_NS 2400 /* to move one page (placement of pages by move_pages) */
#define LIST_NS 1000 /* to read a range's place in the list, to sort it and to find its node */
#define SCAN_SECONDS 4.0
#define BURST_S 4ULL /* a burst, and the rest after it */
#define RESTS_BY 20
#define TURN_NS 400000000

static uint64_t clock_ns = 1000000000, cpu_ns, moved_pages, slower = 1;
static struct memory {
	size_t pages, bound, local, highest;
	size_t huge; /* the pages before this one are in huge pages */
	size_t processes;
	bool shared;
	bool sampled;
	size_t others; /* pages that buffers take at times */
	bool *mapped;  /* of shared memory, for each process and page: it has used it */
	bool bursts, turns;
	double *rate; /* accesses a second */
	double *miss; /* those that no cache serves */
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
	cpu_ns += ns * slower;
	clock_ns += ns * slower;
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
	static struct bede_process processes[PROCESSES];
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

static double zipf(size_t rank)
{
	return pow((double)rank + 1, -0.99);
}

/* How many records with ranks of their own a page has; 0: the page has one rank. */
static size_t records_of(const char *load)
{
	return !strcmp(load, "records") ? 4 : !strcmp(load, "tree") ? 255 : 0;
}

/* How often the page with this rank is used. */
static double weight_of(const char *load, size_t rank, bool later)
{
	size_t hot = memory.bound * 3 / 4, start = later ? memory.pages - hot : memory.pages / 3;

	if (!strcmp(load, "uniform"))
		return 1;
	if (!strcmp(load, "steps"))
		return rank < memory.bound / 4 ? 100 : 1;
	if (!strcmp(load, "zipf") || !strcmp(load, "moved") || !strcmp(load, "gradual") || memory.bursts)
		return zipf(rank);
	return rank - start < hot ? 1 : 0.001;
}

/* For how long a cache that evicts what was used least recently keeps a record: Che and others, JSAC 2002. */
static double time_in_cache(size_t records)
{
	double least = 0, most = 1e9;

	for (int step = 0; step < 60 && records; step++) {
		double middle = (least + most) / 2, cached = 0;

		/* Those with high ranks differ little: one stands for some. */
		for (size_t rank = 0, step; rank < records; rank += step) {
			step = 1 + rank / 256;
			cached += (double)step * (1 - exp(-zipf(rank) * middle));
		}
		if (cached < CACHED)
			least = middle;
		else
			most = middle;
	}
	return least;
}

static void set_rates(const char *load, double all, bool later)
{
	bool in_order =
		memory.turns || !strcmp(load, "region") || !strcmp(load, "jump") || !strcmp(load, "scan");
	double sum = 0;
	size_t records = records_of(load), *order = random_order(memory.pages * (records ? records : 1));

	double kept = time_in_cache(memory.pages * records);

	memset(memory.rate, 0, memory.pages * sizeof(*memory.rate));
	memset(memory.miss, 0, memory.pages * sizeof(*memory.miss));
	for (size_t rank = 0; rank < memory.pages * records; rank++) {
		memory.rate[order[rank] / records] += zipf(rank);
		memory.miss[order[rank] / records] += zipf(rank) * exp(-zipf(rank) * kept);
	}
	for (size_t rank = 0; rank < memory.pages && !records; rank++)
		memory.rate[in_order ? rank : order[rank]] = weight_of(load, rank, later);
	for (size_t page = 0; page < memory.pages; page++)
		sum += memory.rate[page];
	for (size_t page = 0; page < memory.pages; page++)
		memory.rate[page] *= all / sum;
	/* What is in one huge page: as often as the first of its pages. */
	for (size_t page = 0; page < memory.huge; page++)
		memory.rate[page] = memory.rate[page - page % (HUGE_PAGE / PAGE)];
	if (!records)
		memcpy(memory.miss, memory.rate, memory.pages * sizeof(*memory.miss));
	free(order);
}

/* Other pages get the ranks of some. */
static void swap_some(double count)
{
	for (; count >= 1 || chance() < count; count--) {
		size_t i = (size_t)(chance() * (double)memory.pages),
		       j = (size_t)(chance() * (double)memory.pages);
		double rate = memory.rate[i];

		memory.rate[i] = memory.miss[i] = memory.rate[j];
		memory.rate[j] = memory.miss[j] = rate;
	}
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

	memcpy(sorted, memory.miss, memory.pages * sizeof(*sorted));
	qsort(sorted, memory.pages, sizeof(*sorted), descending);
	for (size_t page = 0; page < memory.pages; page++) {
		all += sorted[page];
		best += page < memory.bound ? sorted[page] : 0;
		local += memory.node[page] ? 0 : memory.miss[page];
	}
	printf("%.3f %.4f %.4f %" PRIu64 " %" PRIu64 " %" PRIu64 " %zu %u %u %zu\n",
	       (double)clock_ns / 1e9 - 1, local / all, best / all, cpu_ns / 1000, moved_pages,
	       (uint64_t)(vain / PAGE), memory.highest, hits->local, hits->best, memory.local);
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

/* The kernel demotes so many local pages. */
static void demote_any(size_t count)
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

static bool is_said(char **words, const char *word)
{
	while (*words && strcmp(*words, word))
		words++;
	return *words;
}

int main(int argc, char **argv)
{
	if (argc < 7)
		return 2;
	const char *load = argv[1];
	bool moves = !strcmp(load, "moved") || !strcmp(load, "jump"), moved = false;
	bool stuck = is_said(argv + 7, "stuck"), churns = is_said(argv + 7, "churn");
	double rate = atof(argv[5]), seconds = atof(argv[6]);

	srand48(atol(argv[4]));
	memory = (struct memory){ .pages = strtoull(argv[2], NULL, 10),
				  .bound = strtoull(argv[3], NULL, 10),
				  .scanned = !strcmp(load, "scan"),
				  .bursts = !strcmp(load, "bursts"),
				  .turns = !strcmp(load, "turns"),
				  .processes = 1,
				  .shared = is_said(argv + 7, "shared"),
				  .sampled = is_said(argv + 7, "sampled") };
	if (memory.shared || is_said(argv + 7, "processes"))
		memory.processes = PROCESSES;
	memory.mapped = calloc(memory.pages * memory.processes, sizeof(*memory.mapped));
	for (size_t page = 0; page < memory.pages; page++)
		memory.mapped[page % memory.processes * memory.pages + page] = true;
	memory.huge = is_said(argv + 7, "huge") ? memory.pages * 3 / 4 : 0;
	memory.rate = calloc(memory.pages, sizeof(*memory.rate));
	memory.miss = calloc(memory.pages, sizeof(*memory.miss));
	memory.node = malloc(memory.pages);
	memory.stuck = calloc(memory.pages, sizeof(*memory.stuck));
	memset(memory.node, 1, memory.pages);
	for (size_t i = 0; i < memory.bound; i++) {
		size_t page = stuck ? i : i * memory.pages / memory.bound;

		/* Huge pages are one after the other: as many as are wanted, then the same of the small ones. */
		if (memory.huge)
			page = i < memory.bound * 3 / 4 ? i : memory.huge + i - memory.bound * 3 / 4;
		memory.node[page] = 0;
		memory.stuck[i] = stuck && i < memory.bound / 2;
	}
	memory.local = memory.highest = memory.bound;
	slower = is_said(argv + 7, "slow") ? 8 : 1;
	memory.others = is_said(argv + 7, "buffers") ? memory.bound / 8 : 0;
	set_rates(load, rate, false);

	struct bede_search search = { .stopped = stopped };
	struct bede_pages *lists = calloc(2, sizeof(*lists));
	struct bede_ticket ticket = { 0 };
	struct bede_exchange exchange = {
		.search = &search,
		.cold = &lists[0],
		.hot = &lists[1],
		.ticket = is_said(argv + 7, "unfenced") ? NULL : &ticket,
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
		uint64_t before = cpu_ns, used, began = clock_ns;

		if (moves && !moved && (double)clock_ns / 1e9 - 1 > seconds / 2) {
			set_rates(load, rate, true);
			moved = true;
		}
		bede_search_refresh(&search, false);
		if (bede_exchange_measure(&exchange, &ask, &used))
			return 1;
		bede_exchange_run(&exchange, &ask);
		vain += exchange.bytes_vain;
		bede_hits_estimate(&search, &lists[0], 1, 2, bytes, &hits);
		show(vain, &hits);
		uint64_t pause = bede_exchange_pause(&exchange, (cpu_ns - before) / 1000);

		search.due_us = clock_ns / 1000 + pause;
		clock_ns += pause * 1000;
		if (!strcmp(load, "gradual"))
			swap_some((double)(clock_ns - began) / 1e9 * (double)memory.pages / 200);
		if (churns && memory.local + memory.bound / 5 > memory.bound)
			demote_any(memory.local + memory.bound / 5 - memory.bound);
	}
	bede_exchange_close(&exchange);
	bede_search_free(&search);
	free(lists);
	free(memory.rate);
	free(memory.miss);
	free(memory.node);
	free(memory.stuck);
	free(memory.mapped);
	return 0;
}
