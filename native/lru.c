/* SPDX-License-Identifier: Apache-2.0 */
#include "lru.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "grow.h"
#include "units.h"

/* The kernel evicts nothing from the two youngest generations (MIN_NR_GENS). */
#define YOUNG_GENS 2
/* The swappiness of lru_gen commands, 0 to 200: the middle treats anonymous pages and page cache alike. */
#define BALANCED 100
/* So many pages have 2^64 bytes; no sum of counts up to this can wrap. */
#define MOST_PAGES (1ULL << 52)
/* How old a scan may be: the container's own tasks evict, too, at the fence. */
#define STALE_US 10000

static struct bede_lruvec *find(struct bede_lru *lru, uint64_t id, int node)
{
	/* The file lists one node of a cgroup after the other, so it is nearly always the one found last. */
	if (lru->count) {
		struct bede_lruvec *last = &lru->vec[lru->count - 1];

		if (last->id == id && last->node == node)
			return last;
	}
	struct bede_lruvec *vec = bede_grown(lru->vec, lru->count, &lru->size, 8, sizeof(*vec));

	if (!vec)
		return NULL;
	lru->vec = vec;
	vec += lru->count++;
	*vec = (struct bede_lruvec){ .id = id, .node = node };
	return vec;
}

static int add_generation(void *context, uint64_t id, int node, uint64_t seq, uint64_t anon, uint64_t file)
{
	struct bede_lruvec *vec = find(context, id, node);

	if (!vec)
		return -ENOMEM;
	if (vec->gens == BEDE_MAX_GENS || anon > MOST_PAGES || file > MOST_PAGES)
		return -EINVAL;
	/* Generations have consecutive numbers; their order alone tells which pages may be evicted. */
	uint64_t last = vec->gens ? vec->seq[vec->gens - 1] : 0;

	if (vec->gens && (seq <= last || seq - last != 1))
		return -EINVAL;
	vec->seq[vec->gens] = seq;
	vec->pages[vec->gens] = anon + file;
	vec->gens++;
	return 0;
}

int bede_lru_scan(struct bede_lru *lru)
{
	int err = bede_read(lru->fd, &lru->buffer);

	lru->scanned_us = now_us();
	lru->count = 0;
	if (!err)
		err = bede_parse_lru_gen(lru->buffer.text, lru->buffer.length, lru->path, lru->inode,
					 add_generation, lru);
	if (!err && !lru->count)
		err = -ENOENT;
	return err;
}

/* Pages that an lru_gen command can demote: those of all but the two youngest generations. */
static uint64_t old_pages(const struct bede_lruvec *vec)
{
	uint64_t pages = 0;

	for (unsigned i = 0; vec->id && i + YOUNG_GENS < vec->gens; i++)
		pages += vec->pages[i];
	return pages;
}

static uint64_t old_on(const struct bede_lru *lru, int node)
{
	uint64_t pages = 0;

	for (size_t i = 0; i < lru->count; i++)
		if (lru->vec[i].node == node)
			pages += old_pages(&lru->vec[i]);
	return pages;
}

static int command(struct bede_lru *lru, char verb, const struct bede_lruvec *vec, uint64_t seq,
		   uint64_t option)
{
	char text[128];
	int length =
		snprintf(text, sizeof(text), "%c %llu %d %llu %d %llu", verb, (unsigned long long)vec->id,
			 vec->node, (unsigned long long)seq, BALANCED, (unsigned long long)option);

	return write(lru->fd, text, (size_t)length) < 0 ? -errno : 0;
}

static void age(struct bede_lru *lru, int node)
{
	for (size_t i = 0; i < lru->count; i++) {
		struct bede_lruvec *vec = &lru->vec[i];
		uint64_t young = 0;

		for (unsigned g = 0; g < vec->gens; g++)
			young += vec->pages[g];
		young -= old_pages(vec);
		/* The kernel refuses if the pages have just been aged otherwise: the next scan shows that. */
		if (vec->id && vec->node == node && vec->gens && young)
			(void)command(lru, '+', vec, vec->seq[vec->gens - 1], 1);
	}
}

static void take(struct bede_lruvec *vec, uint64_t pages)
{
	for (unsigned i = 0; i + YOUNG_GENS < vec->gens; i++) {
		uint64_t part = pages < vec->pages[i] ? pages : vec->pages[i];

		vec->pages[i] -= part;
		pages -= part;
	}
}

int bede_lru_prepare(struct bede_lru *lru, int node, uint64_t pages)
{
	pages += lru->reserve;
	if (old_on(lru, node) >= pages && now_us() < lru->scanned_us + STALE_US)
		return 0;
	int err = bede_lru_scan(lru);

	/* Two rounds: after the first, what was just faulted in is in the second youngest generation. */
	for (int round = 0; !err && lru->may_age && round < 2 && old_on(lru, node) < pages; round++) {
		age(lru, node);
		err = bede_lru_scan(lru);
	}
	return err;
}

int bede_lru_demote(struct bede_lru *lru, int node, uint64_t pages, uint64_t *asked)
{
	*asked = 0;
	int err = bede_lru_prepare(lru, node, pages);

	if (err)
		return err;
	for (size_t i = 0; i < lru->count && *asked < pages; i++) {
		struct bede_lruvec *vec = &lru->vec[i];
		uint64_t part = old_pages(vec);

		if (vec->node != node || !part)
			continue;
		if (part > pages - *asked)
			part = pages - *asked;
		err = command(lru, '-', vec, vec->seq[vec->gens - 1] - YOUNG_GENS, part);
		if (err)
			continue;
		take(vec, part);
		*asked += part;
	}
	return *asked ? 0 : err;
}

void bede_lru_shield(struct bede_lru *lru, int node)
{
	for (size_t i = 0; i < lru->count; i++) {
		struct bede_lruvec *vec = &lru->vec[i];

		if (vec->id && vec->node == node && vec->gens > YOUNG_GENS && !old_pages(vec))
			(void)command(lru, '-', vec, vec->seq[vec->gens - 1] - YOUNG_GENS, 1);
	}
}

void bede_lru_release(struct bede_lru *lru)
{
	free(lru->vec);
	free(lru->buffer.text);
	lru->vec = NULL;
	lru->buffer.text = NULL;
}
