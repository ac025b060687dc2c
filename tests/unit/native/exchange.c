/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs the exchange of pages on simulated memory: exchange.c, search.c, scores.c and what they use are the real ones;
 * clock, memory, heat, move_pages and tickets are simulated (simulated.c).
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
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exchange.h"
#include "hits.h"
#include "simulated.h"
#include "units.h"

#define CACHED 4096 /* records that are in a cache */

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
		memory.processes = MOST_PROCESSES;
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
