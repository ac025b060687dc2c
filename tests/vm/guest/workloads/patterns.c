/* SPDX-License-Identifier: Apache-2.0 */
/*
 * patterns KIND MIB ROUNDS [ARG [WORK]]: accesses memory in a way whose cost is known, and marks each round for the model.
 *
 * chase   each access's address is what the one before it loaded: nothing hides the latency
 * stream  reads everything in its order: a prefetcher hides all of it
 * random  reads lines whose order is known beforehand: an out-of-order CPU hides a part
 * region  85 of 100 accesses go to one quarter of the memory, the others anywhere; ARG: accesses a round
 * rank    PageRank on a random graph, 8 edges a vertex; each round is an iteration
 * bfs     breadth first search on such a graph, from another vertex each round
 * half    reads the first half in its order, and never the second
 * scan    as region, and each round reads a twentieth of the memory in its order
 * zipf    pages by a Zipf distribution of exponent 0.99, scattered over the memory; ARG: accesses a round
 * moved   as zipf; after half of the rounds other pages are the ones in use
 * churn   as zipf, and in each round a twentieth as much memory comes, is used once, and goes
 *
 * WORK is what region, zipf and those like them compute for each access, in steps of three instructions; 0 if it is left out.
 */
#define _GNU_SOURCE
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "mark.h"

#define LINE 64U
#define PAGE 4096U

static uint64_t state = 88172645463325252ULL;

static uint64_t next_random(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	return state ^= state << 17;
}

static unsigned long work;

static void compute(void)
{
	uint64_t value = state;

	for (unsigned long i = 0; i < work; i++) {
		value = value * 6364136223846793005ULL + 1;
		__asm__ volatile("" : "+r"(value));
	}
}

/* A permutation of 0 .. n-1 that is one cycle (Sattolo), or any. */
static uint32_t *shuffled(size_t n, size_t apart)
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

static void mark(const char *kind, int round)
{
	char label[64];

	snprintf(label, sizeof(label), "%s %d", kind, round);
	BEDE_MARK(BEDE_MARK_REPORT, label);
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
		double want = (double)(next_random() >> 11) * 0x1p-53 * sum;
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
		BEDE_MARK(BEDE_MARK_EPOCH, 0);
		mark(kind, round);
	}
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
		BEDE_MARK(BEDE_MARK_EPOCH, 0);
		mark(kind, round);
	}
	return result;
}

#define DEGREE 8U

/* A graph in which each vertex has DEGREE random neighbours, and two more words for each vertex. */
struct graph {
	uint32_t vertices;
	uint32_t *edges, *one, *other;
};

static struct graph graph_in(char *memory, size_t size)
{
	struct graph graph = { .vertices = (uint32_t)(size / sizeof(uint32_t) / (DEGREE + 2)) };

	graph.edges = (uint32_t *)memory;
	graph.one = graph.edges + (size_t)graph.vertices * DEGREE;
	graph.other = graph.one + graph.vertices;
	for (size_t i = 0; i < (size_t)graph.vertices * DEGREE; i++)
		graph.edges[i] = (uint32_t)(next_random() % graph.vertices);
	return graph;
}

static uint64_t rank(char *memory, size_t size, int rounds)
{
	struct graph graph = graph_in(memory, size);
	float *from = (float *)graph.one, *to = (float *)graph.other;

	for (uint32_t i = 0; i < graph.vertices; i++)
		from[i] = 1;
	mark("rank", 0);
	for (int round = 1; round <= rounds; round++) {
		for (size_t i = 0; i < graph.vertices; i++) {
			float sum = 0;

			for (size_t j = i * DEGREE; j < (i + 1) * DEGREE; j++)
				sum += from[graph.edges[j]];
			to[i] = 0.15F + 0.85F * sum / DEGREE;
		}
		float *done = to;

		to = from;
		from = done;
		BEDE_MARK(BEDE_MARK_EPOCH, 0);
		mark("rank", round);
	}
	return (uint64_t)from[0];
}

static uint64_t bfs(char *memory, size_t size, int rounds)
{
	struct graph graph = graph_in(memory, size);
	uint32_t *queue = graph.one, *depth = graph.other, reached = 0;

	mark("bfs", 0);
	for (int round = 1; round <= rounds; round++) {
		size_t head = 0, tail = 0;

		memset(depth, 0xff, graph.vertices * sizeof(*depth));
		depth[round] = 0;
		queue[tail++] = (uint32_t)round;
		while (head < tail) {
			size_t vertex = queue[head++];

			for (size_t j = vertex * DEGREE; j < (vertex + 1) * DEGREE; j++) {
				uint32_t next = graph.edges[j];

				if (depth[next] != UINT32_MAX)
					continue;
				depth[next] = depth[vertex] + 1;
				queue[tail++] = next;
			}
		}
		reached += (uint32_t)tail;
		BEDE_MARK(BEDE_MARK_EPOCH, 0);
		mark("bfs", round);
	}
	return reached;
}

int main(int argc, char **argv)
{
	size_t size = argc > 3 ? strtoul(argv[2], NULL, 10) << 20 : 0;
	int rounds = argc > 3 ? atoi(argv[3]) : 0;
	char *memory;
	uint64_t result;

	if (!size || rounds < 1) {
		fputs("usage: patterns KIND MIB ROUNDS [ARG]\n", stderr);
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
