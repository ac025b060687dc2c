/* SPDX-License-Identifier: Apache-2.0 */
/* The loads of patterns.c that are algorithms, with the memory accesses of the real thing. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "patterns.h"

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

uint64_t rank(char *memory, size_t size, int rounds)
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
		mark_epoch("rank", round);
	}
	return (uint64_t)from[0];
}

uint64_t bfs(char *memory, size_t size, int rounds)
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
		mark_epoch("bfs", round);
	}
	return reached;
}

#define DIMENSIONS (LINE / sizeof(float))
#define CENTRES 4U
#define STREAMED 20U /* rounds in which all points are read */

struct point {
	float at[DIMENSIONS];
};

static void fill(struct point *points, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		uint64_t draw = next_random();

		/* Two bits say to which group the point belongs; four others for each dimension spread the groups. */
		for (size_t j = 0; j < DIMENSIONS; j++)
			points[i].at[j] =
				(float)((draw >> 62) * (j + 1) % CENTRES * 16 + (draw >> 3 * j) % 16);
	}
}

static size_t nearest(const struct point *centres, const struct point *point)
{
	float least = INFINITY;
	size_t found = 0;

	for (size_t i = 0; i < CENTRES; i++) {
		float distance = 0;

		for (size_t j = 0; j < DIMENSIONS; j++) {
			float apart = centres[i].at[j] - point->at[j];

			distance += apart * apart;
		}
		if (distance < least) {
			least = distance;
			found = i;
		}
	}
	return found;
}

uint64_t kmeans(char *memory, size_t size, int rounds, size_t draws)
{
	size_t kept = size / 8 / sizeof(struct point), count = size / sizeof(struct point) - kept,
	       seen = kept;
	struct point *points = (struct point *)memory, *sample = points + count, centres[CENTRES];
	size_t learned[CENTRES] = { 0 }, members[CENTRES] = { 0 }, at = 0;

	fill(points, count);
	memcpy(sample, points, kept * sizeof(*sample));
	memcpy(centres, sample, sizeof(centres));
	mark("kmeans", 0);
	for (int round = 1; round <= rounds; round++) {
		for (size_t i = 0; i < count / STREAMED; i++) {
			const struct point *point = &points[at++ % count];
			size_t other = next_random() % ++seen; /* reservoir sampling (Vitter's R) */

			members[nearest(centres, point)]++;
			if (other < kept)
				sample[other] = *point;
		}
		for (size_t i = 0; i < draws; i++) {
			const struct point *point = &sample[next_random() % kept];
			size_t centre = nearest(centres, point);
			float rate = 1 / (float)++learned[centre];

			for (size_t j = 0; j < DIMENSIONS; j++)
				centres[centre].at[j] += rate * (point->at[j] - centres[centre].at[j]);
		}
		mark_epoch("kmeans", round);
	}
	return members[0] + (uint64_t)centres[0].at[0];
}

#define KEYS 255U

struct node {
	uint64_t keys[KEYS];
	uint64_t below
		[KEYS +
		 1];	/* the number of the node with what is less than the key; in a leaf the key's value */
	uint64_t count; /* of keys */
};

_Static_assert(sizeof(struct node) == PAGE, "a node is a page");

struct tree {
	struct node *nodes;
	size_t root, height, keys;
};

/* A tree with all keys from 0 up, whose nodes lie in no order, as after many insertions. */
static struct tree tree_in(char *memory, size_t size)
{
	size_t pages = size / PAGE, width = pages - pages / KEYS - 2, first = 0, end = width, span = KEYS;
	struct tree tree = { .nodes = (struct node *)memory, .keys = width * KEYS };
	uint32_t *places = shuffled(pages, 0);

	for (size_t i = 0; i < width; i++) {
		struct node *leaf = &tree.nodes[places[i]];

		leaf->count = KEYS;
		for (size_t j = 0; j < KEYS; j++) {
			leaf->keys[j] = i * KEYS + j;
			leaf->below[j] = 1;
		}
	}
	/* Each level is over the one before it, whose nodes have *span* keys below them. */
	for (; width > 1; tree.height++, span *= KEYS + 1) {
		for (size_t i = 0; i < width; i++) {
			struct node *node = &tree.nodes[places[end + i / (KEYS + 1)]];

			node->count = i % (KEYS + 1);
			node->below[node->count] = places[first + i];
			if (node->count)
				node->keys[node->count - 1] = i * span;
		}
		first = end;
		width = (width + KEYS) / (KEYS + 1);
		end += width;
	}
	tree.root = places[first];
	free(places);
	return tree;
}

/* The key's value. */
static uint64_t *value_of(const struct tree *tree, uint64_t key)
{
	struct node *node = &tree->nodes[tree->root];

	for (size_t level = tree->height;; level--) {
		size_t low = 0, high = node->count;

		while (low < high) {
			size_t middle = (low + high) / 2;

			if (node->keys[middle] <= key)
				low = middle + 1;
			else
				high = middle;
		}
		if (!level)
			return &node->below[low - 1];
		node = &tree->nodes[node->below[low]];
	}
}

uint64_t tree(char *memory, size_t size, int rounds, size_t lookups)
{
	struct tree tree = tree_in(memory, size);
	double most = zipf_most(tree.keys);
	uint64_t result = 0;

	mark("tree", 0);
	for (int round = 1; round <= rounds; round++) {
		for (size_t i = 0; i < lookups; i++) {
			result += (*value_of(&tree, zipf_key(tree.keys, most)))++;
			compute();
		}
		mark_epoch("tree", round);
	}
	return result;
}
