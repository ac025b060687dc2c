/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control law with any sequence of measurements: sizes that a machine may have, in any order. The room
 * and the excess must never be more than there is, and the loop must neither spin nor sleep for long.
 */
#include "control.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "fuzz.h"

#define NODES 4
#define LARGEST (1ULL << 62) /* the largest size that spec/size.py accepts */
#define FIRST_LOOK 1000

struct input {
	const uint8_t *at;
	const uint8_t *end;
};

static uint64_t take(struct input *input, unsigned bytes)
{
	uint64_t value = 0;

	for (; bytes && input->at < input->end; bytes--)
		value = value << 8 | *input->at++;
	return value;
}

/* A size of any order of magnitude: one byte of input for the magnitude, two for the digits. */
static uint64_t take_size(struct input *input, uint64_t most)
{
	unsigned shift = (unsigned)take(input, 1) % 63;
	uint64_t size = (take(input, 2) << 47) >> shift;

	return size < most ? size : most;
}

static void start(struct bede_control *control, struct input *input)
{
	uint8_t masks = (uint8_t)take(input, 1);

	memset(control, 0, sizeof(*control));
	control->local_mask = masks & 0xf;
	control->far_mask = masks >> 4 & ~control->local_mask;
	control->bound = take_size(input, LARGEST);
	control->cpus = (unsigned)take(input, 2);
	control->kernel = UINT64_MAX;
	for (int node = 0; node < BEDE_MAX_NODES; node++)
		control->node_bound[node] = UINT64_MAX;
	for (int node = 0; node < NODES; node++)
		if (take(input, 1) & 1)
			control->node_bound[node] = take_size(input, LARGEST);
}

static void observe(struct bede_control *control, struct input *input)
{
	uint64_t after_us = take_size(input, 1ULL << 40),
		 at_us = control->at_us ? control->at_us : FIRST_LOOK;
	uint8_t what = (uint8_t)take(input, 1);

	for (int node = 0; node < NODES; node++) {
		if (what >> node & 1)
			control->numa.lru[node] = take_size(input, LARGEST / 16);
		if (what >> 4 & 1)
			control->numa.file[node] = take_size(input, control->numa.lru[node]);
		if (what >> 5 & 1)
			control->numa.huge[node] = take_size(input, control->numa.lru[node]);
	}
	if (what >> 6 & 1)
		control->kernel = take(input, 1) & 1 ? UINT64_MAX : take_size(input, LARGEST);
	if (what >> 7 & 1)
		control->bound = take_size(input, LARGEST);
	bede_control_observe(control, at_us + after_us, take_size(input, LARGEST));
}

static void must_be_a_share(double share)
{
	MUST(share >= 0 && share <= 1, "%f", share);
}

static uint64_t must_be_room(const struct bede_control *control)
{
	uint64_t room = bede_control_room(control);

	/*
	 * The limit may be above the bound: a part of the huge pages in flight is added back, at most 0.3 of
	 * 5 %.
	 */
	uint64_t most = control->bound + control->bound / 64;

	MUST(room <= (most > control->local ? most - control->local : 0), "room %llu, local %llu of %llu",
	     (unsigned long long)room, (unsigned long long)control->local,
	     (unsigned long long)control->bound);
	for (int node = 0; node < NODES; node++) {
		uint64_t bound = control->node_bound[node], used = control->numa.lru[node];

		if (bound != UINT64_MAX)
			MUST(room <= (bound > used ? bound - used : 0), "node %d", node);
	}
	return room;
}

static void must_be_excess(const struct bede_control *control)
{
	int node;
	bool bound_by_node = false;
	uint64_t excess = bede_control_excess(control, &node);
	uint64_t used = control->local + (uint64_t)control->flight;

	for (int n = 0; n < NODES; n++)
		bound_by_node |= control->node_bound[n] != UINT64_MAX;
	MUST(node >= -1 && node < BEDE_MAX_NODES, "node %d", node);
	MUST(node < 0 || control->local_mask >> node & 1, "node %d is not local", node);
	MUST(excess <= used, "%llu of %llu", (unsigned long long)excess, (unsigned long long)used);
	if (!bound_by_node && used < control->bound / 8 * 3)
		MUST(!excess, "%llu far below the bound", (unsigned long long)excess);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = { data, data + size };
	struct bede_control control;

	start(&control, &input);
	while (input.at < input.end) {
		observe(&control, &input);
		must_be_a_share(control.file_share);
		must_be_a_share(control.huge_share);
		must_be_a_share(control.promoted_share);
		MUST(isfinite(control.rate) && control.rate >= 0, "rate %f", control.rate);
		MUST(isfinite(control.flight) && control.flight >= 0, "flight %f", control.flight);
		must_be_excess(&control);
		MUST(bede_control_spare(&control) <= control.bound + control.bound / 64, "%llu spare of %llu",
		     (unsigned long long)bede_control_spare(&control), (unsigned long long)control.bound);
		uint64_t wait = bede_control_wait(&control, must_be_room(&control));

		MUST(wait >= 1000 && wait <= 100000, "%llu", (unsigned long long)wait);
	}
	return 0;
}
