/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Demotion by lru_gen: whatever the file says, each command must name one of the generations in it, on the
 * node that was asked for; it must leave the two youngest alone, and all commands together must not be for
 * more pages than were asked for.
 *
 * The input has a byte each for the node, the pages (in sixteens) and what to do, then the file.
 */
#include <stdbool.h>
#include <string.h>

#include "fuzz.h"
#include "lru.h"

#define CGROUP "/a"

static struct bede_lru lru = { .path = CGROUP };
static int asked_node;
static uint64_t commanded;

/* Whether the file has a cgroup whose youngest generation is young, and that has at least gens of them. */
static bool shown(uint64_t id, int node, uint64_t young, unsigned gens)
{
	for (size_t i = 0; i < lru.count; i++) {
		const struct bede_lruvec *vec = &lru.vec[i];

		if (vec->id == id && vec->node == node && vec->gens >= gens &&
		    vec->seq[vec->gens - 1] == young)
			return true;
	}
	return false;
}

ssize_t __real_write(int fd, const void *text, size_t size);
ssize_t __wrap_write(int fd, const void *text, size_t size);

/* Takes the place of the kernel: checks the command instead of carrying it out. */
ssize_t __wrap_write(int fd, const void *text, size_t size)
{
	unsigned long long id, seq, option;
	int node, swappiness;
	char verb, line[128] = "";

	if (fd != lru.fd)
		return __real_write(fd, text, size);
	MUST(size < sizeof(line), "too long");
	memcpy(line, text, size);
	MUST(sscanf(line, "%c %llu %d %llu %d %llu", &verb, &id, &node, &seq, &swappiness, &option) == 6,
	     "%s", line);
	MUST(id, "to a cgroup that has been removed: %s", line);
	MUST(node == asked_node && swappiness >= 0 && swappiness <= 200, "%s", line);
	if (verb == '+') {
		MUST(shown(id, node, seq, 1), "%s", line);
		return (ssize_t)size;
	}
	MUST(verb == '-' && option > 0 && shown(id, node, seq + 2, 3), "%s", line);
	commanded += option;
	return (ssize_t)size;
}

static void demote(uint64_t pages)
{
	uint64_t asked;
	int err = bede_lru_demote(&lru, asked_node, pages, &asked);

	MUST(err <= 0 && asked <= pages && asked == commanded, "%d, %llu of %llu", err,
	     (unsigned long long)asked, (unsigned long long)pages);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 3)
		return 0;
	lru.fd = file_with(data + 3, size - 3);
	lru.scanned_us = 0;
	lru.count = 0;
	lru.may_age = data[2] & 1;
	lru.reserve = data[2] & 2 ? 64 : 0;
	asked_node = data[0] % BEDE_MAX_NODES;
	commanded = 0;
	if (data[2] & 4) {
		if (!bede_lru_scan(&lru))
			bede_lru_shield(&lru, asked_node);
		commanded = 0;
	}
	demote(data[1] * 16ULL);
	return 0;
}
