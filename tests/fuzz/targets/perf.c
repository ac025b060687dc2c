/* SPDX-License-Identifier: Apache-2.0 */
/* A ring of samples: how many bytes of records there are, where they begin, and then the ring itself. */
#include <string.h>

#include "fuzz.h"
#include "perf.h"

#define RING 512
#define LEAST 40 /* bytes of a sample */

static int visit(void *context, const struct bede_sample *sample)
{
	MUST(sample->address >> 56 == 0, "address %llx", (unsigned long long)sample->address);
	++*(size_t *)context;
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bede_perf_told told = { 0 };
	uint8_t ring[RING] = { 0 };
	uint64_t tail, head;
	uint16_t length;
	size_t visits = 0;

	if (size < sizeof(length) + sizeof(tail))
		return 0;
	memcpy(&length, data, sizeof(length));
	memcpy(&tail, data + sizeof(length), sizeof(tail));
	data += sizeof(length) + sizeof(tail);
	size -= sizeof(length) + sizeof(tail);
	memcpy(ring, data, size < RING ? size : RING);
	if (__builtin_add_overflow(tail, length, &head))
		head = length; /* before the tail */
	uint64_t before = tail;

	if (!bede_perf_parse(ring, RING, head, &tail, visit, &visits, &told))
		MUST(tail == head, "%llu bytes are left", (unsigned long long)(head - tail));
	MUST(visits <= told.samples && told.samples * LEAST <= RING, "%zu visits", visits);
	MUST(tail >= before && (tail <= head || tail == before), "the tail is beyond the records");
	return 0;
}
