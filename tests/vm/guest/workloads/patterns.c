/* SPDX-License-Identifier: Apache-2.0 */
/*
 * patterns KIND MIB ROUNDS [ARG [WORK]]: accesses memory in a way whose cost is known, and marks each round for the model.
 *
 * chase   each access's address is what the one before it loaded: nothing hides the latency
 * stream  reads everything in its order: a prefetcher hides all of it
 * random  reads lines whose order is known beforehand: an out-of-order CPU hides a part
 * region  85 of 100 accesses go to one quarter of the memory, the others anywhere; ARG: accesses a round
 * half    reads the first half in its order, and never the second
 * scan    as region, and each round reads a twentieth of the memory in its order
 * zipf    pages by a Zipf distribution of exponent 0.99, scattered over the memory; ARG: accesses a round
 * moved   as zipf; after half of the rounds other pages are the ones in use
 * churn   as zipf, and in each round a twentieth as much memory comes, is used once, and goes
 *
 * Algorithms, in algorithms.c:
 *
 * rank    PageRank on a random graph, 8 edges a vertex; each round is an iteration
 * bfs     breadth first search on such a graph, from another vertex each round
 * kmeans  online k-means over a stream: each round reads a twentieth of the points in their order, assigns each to a centre,
 *         and keeps a random sample of all, an eighth of the memory; the centres then learn from it. ARG: points drawn a round
 * tree    a B+tree with nodes of a page, all over the memory; keys by a Zipf distribution of exponent 0.99, neighbours in it not
 *         neighbours in the tree, are looked up from the root, and their values changed. ARG: lookups a round
 *
 * WORK is what region, zipf and those like them, and tree, compute for each access or lookup, in steps of three instructions;
 * 0 if it is left out.
 */
#define _GNU_SOURCE
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "mark.h"
#include "patterns.h"

uint64_t random_state = 88172645463325252ULL;
static unsigned long work;

void compute(void)
{
	uint64_t value = random_state;

	for (unsigned long i = 0; i < work; i++) {
		value = value * 6364136223846793005ULL + 1;
		__asm__ volatile("" : "+r"(value));
	}
}

uint32_t *shuffled(size_t n, size_t apart)
{
	uint32_t *order = malloc(n * sizeof(*order));

	for (size_t i = 0; i < n; i++)
		order[i] = (uint32_t)i;
	for (size_t i = n - 1; i > 0; i--) {
		size_t j = next_random() % (i + 1 - apart);
		uint32_t other = order[j];

		order[j] = order[i];
		order[i] = other;
	}
	return order;
}

static uint64_t chase(char *memory, size_t size, int rounds)
{
	size_t lines = size / LINE;
	uint32_t *next = shuffled(lines, 1);
	void **at = (void **)memory;

	for (size_t i = 0; i < lines; i++)
		*(void **)(memory + i * LINE) = memory + next[i] * (size_t)LINE;
	free(next);
	mark("chase", 0);
	for (int round = 1; round <= rounds; round++) {
		for (size_t i = 0; i < lines; i++)
			at = *at;
		mark("chase", round);
	}
	return (uint64_t)at;
}

static uint64_t stream(const char *memory, size_t size, int rounds)
{
	const uint64_t *words = (const uint64_t *)memory;
	uint64_t sum = 0;

	mark("stream", 0);
	for (int round = 1; round <= rounds; round++) {
		for (size_t i = 0; i < size / sizeof(*words); i += LINE / sizeof(*words))
			sum += words[i];
		mark("stream", round);
	}
	return sum;
}

static uint64_t random_lines(const char *memory, size_t size, int rounds)
{
	size_t lines = size / LINE;
	uint32_t *order = shuffled(lines, 0);
	uint64_t sum = 0;

	mark("random", 0);
	for (int round = 1; round <= rounds; round++) {
		for (size_t i = 0; i < lines; i++)
			sum += (uint64_t)memory[order[i] * (size_t)LINE];
		mark("random", round);
	}
	free(order);
	return sum;
}

/* Memory that comes, is used once, and goes. */
static uint64_t passing(size_t size)
{
	char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t sum = 0;

	if (memory == MAP_FAILED || madvise(memory, size, MADV_NOHUGEPAGE))
		exit(1);
	memset(memory, 1, size);
	for (size_t i = 0; i < size; i += LINE)
		sum += (uint64_t)memory[i];
	munmap(memory, size);
	return sum;
}

static uint64_t zipf(char *memory, size_t size, int rounds, size_t accesses, const char *kind)
{
	size_t pages = size / PAGE, table = 1 << 20;
	uint32_t *order = shuffled(pages, 0), *drawn = malloc(table * sizeof(*drawn));
	double *cumulated = malloc(pages * sizeof(*cumulated)), sum = 0;
	uint64_t result = 0;

	for (size_t i = 0; i < pages; i++)
		cumulated[i] = sum += pow((double)(i + 1), -0.99);
	for (size_t i = 0; i < table; i++) {
		double want = next_fraction() * sum;
		size_t low = 0, high = pages - 1;

		while (low < high) {
			size_t middle = (low + high) / 2;

			if (cumulated[middle] < want)
				low = middle + 1;
			else
				high = middle;
		}
		drawn[i] = order[low];
	}
	for (size_t i = 0; i < pages; i++)
		memory[i * PAGE] = 1;
	free(cumulated);
	free(order);
	mark(kind, 0);
	for (int round = 1; round <= rounds; round++) {
		/* The order is random, so half a memory further there are other pages for all ranks. */
		size_t further = !strcmp(kind, "moved") && round > rounds / 2 ? pages / 2 : 0;

		for (size_t i = 0; i < accesses; i++) {
			size_t page = (drawn[i % table] + further) % pages;

			result += (uint64_t)memory[page * PAGE + (next_random() & 63) * LINE]++;
			compute();
		}
		if (!strcmp(kind, "churn"))
			result += passing(size / 20);
		mark_epoch(kind, round);
	}
	free(drawn);
	return result;
}

static uint64_t region(char *memory, size_t size, int rounds, size_t accesses, const char *kind)
{
	size_t hot = size / 4, start = size / 2, scanned = !strcmp(kind, "scan") ? size / 20 : 0;
	uint64_t result = 0;

	mark(kind, 0);
	for (int round = 1; round <= rounds; round++) {
		for (size_t i = 0; i < accesses; i++) {
			uint64_t draw = next_random();
			size_t at = draw % 100 < 85 ? start + (draw >> 8) % hot : (draw >> 8) % size;

			result += (uint64_t)memory[at]++;
			compute();
		}
		for (size_t i = 0; i < scanned; i += LINE)
			result += (uint64_t)memory[((size_t)round * scanned + i) % size];
		mark_epoch(kind, round);
	}
	return result;
}

int main(int argc, char **argv)
{
	size_t size = argc > 3 ? strtoul(argv[2], NULL, 10) << 20 : 0;
	int rounds = argc > 3 ? atoi(argv[3]) : 0;
	char *memory;
	uint64_t result;

	if (!size || rounds < 1) {
		fputs("usage: patterns KIND MIB ROUNDS [ARG [WORK]]\n", stderr);
		return 2;
	}
	memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED || madvise(memory, size, MADV_NOHUGEPAGE))
		return 1;
	memset(memory, 1, size);
	size_t accesses = argc > 4 ? strtoul(argv[4], NULL, 10) : 1000000;

	work = argc > 5 ? strtoul(argv[5], NULL, 10) : 0;
	if (!strcmp(argv[1], "chase"))
		result = chase(memory, size, rounds);
	else if (!strcmp(argv[1], "stream"))
		result = stream(memory, size, rounds);
	else if (!strcmp(argv[1], "random"))
		result = random_lines(memory, size, rounds);
	else if (!strcmp(argv[1], "rank"))
		result = rank(memory, size, rounds);
	else if (!strcmp(argv[1], "bfs"))
		result = bfs(memory, size, rounds);
	else if (!strcmp(argv[1], "kmeans"))
		result = kmeans(memory, size, rounds, accesses);
	else if (!strcmp(argv[1], "tree"))
		result = tree(memory, size, rounds, accesses);
	else if (!strcmp(argv[1], "half"))
		result = stream(memory, size / 2, rounds);
	else if (!strcmp(argv[1], "zipf") || !strcmp(argv[1], "moved") || !strcmp(argv[1], "churn"))
		result = zipf(memory, size, rounds, accesses, argv[1]);
	else if (!strcmp(argv[1], "region") || !strcmp(argv[1], "scan"))
		result = region(memory, size, rounds, accesses, argv[1]);
	else
		return 2;
	return result == 42;
}
