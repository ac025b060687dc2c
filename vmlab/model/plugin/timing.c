/* SPDX-License-Identifier: Apache-2.0 */
#include "timing.h"

#include <stddef.h>

#include "cache.h"

#define SURE 2		  /* steps in one direction before a prefetcher trusts a stream */
#define FORGOTTEN 1024	  /* accesses after which a stream that went no further is as good as none */
#define FIELD 4096	  /* bytes: a structure's fields are that near to the pointer to it */
#define EPOCH 20000000ULL /* ps between two measurements of a device: 20 us, some thousand lines */
#define BUSY 0.95	  /* of a device's bandwidth; beyond it queues grow without end */

void model_run(const struct model_params *params, struct model_cpu *cpu, uint64_t instructions)
{
	cpu->now += (instructions - cpu->instructions) * params->instruction;
	cpu->instructions = instructions;
}

/* How much a stream is worth keeping: one that is trusted outlives all that may never become one. */
static uint64_t worth(const struct model_cpu *cpu, const struct model_stream *stream)
{
	bool trusted = stream->length > SURE && cpu->turn - stream->used < FORGOTTEN;

	return stream->used + (trusted ? UINT32_MAX : 0ULL);
}

/* The stream that @line continues, or NULL; then @line is remembered as what may be the first of one. */
static struct model_stream *follow(struct model_cpu *cpu, uint64_t line)
{
	struct model_stream *victim = cpu->streams;

	cpu->turn++;
	for (int i = 0; i < MODEL_STREAMS; i++) {
		struct model_stream *stream = &cpu->streams[i];
		bool back = stream->length == 1 && stream->next - 2 == line;

		if (stream->length && (stream->next == line || back)) {
			if (back)
				stream->step = -1;
			stream->next = line + (uint64_t)stream->step;
			stream->length++;
			stream->used = cpu->turn;
			return stream;
		}
		if (worth(cpu, stream) < worth(cpu, victim))
			victim = stream;
	}
	*victim = (struct model_stream){ .next = line + 1, .step = 1, .length = 1, .used = cpu->turn };
	return NULL;
}

void model_hit(const struct model_params *params, struct model_cpu *cpu, uint64_t address)
{
	if (params->ahead)
		(void)follow(cpu, address >> MODEL_LINE_SHIFT);
}

/*
 * The wait of each line grows while more than the device's bandwidth is asked for, and shrinks while less is: by as
 * much as makes the time of a line, if that is this device's alone, the one that the bandwidth allows.
 */
static uint64_t queue(struct model_device *device, uint64_t now)
{
	if (!device->line_time)
		return 0;
	device->lines++;
	if (now > device->epoch + EPOCH || now < device->epoch) {
		double passed = now > device->epoch ? (double)(now - device->epoch) : EPOCH;
		double excess = (double)(device->lines * device->line_time) / passed / BUSY - 1;
		double wait = (double)device->wait + excess * (double)(device->line_time + device->wait);

		device->wait = wait > 0 ? (uint64_t)wait : 0;
		device->epoch = now;
		device->lines = 0;
	}
	return device->wait;
}

static bool depends(const struct model_cpu *cpu, uint64_t address, int64_t index_base)
{
	return address - cpu->loaded < FIELD || cpu->loaded - address < FIELD ||
	       index_base == cpu->index_base;
}

bool model_charge(const struct model_params *params, const struct model_link *link,
		  struct model_device *device, struct model_cpu *cpu, const struct model_miss *miss)
{
	struct model_stream *stream = params->ahead ? follow(cpu, miss->address >> MODEL_LINE_SHIFT) : NULL;
	uint64_t wait = queue(device, cpu->now);

	if (stream && stream->length > SURE) {
		uint64_t line = link->line_time + wait, lead = params->ahead * line;
		uint64_t earliest = cpu->now > lead ? cpu->now - lead : 0;

		stream->ready = (stream->ready > earliest ? stream->ready : earliest) + line;
		if (stream->ready > cpu->now)
			cpu->now = stream->ready;
		return true;
	}

	int64_t index_base = (int64_t)(miss->address - 8 * cpu->loaded);
	uint64_t latency = link->latency + wait;
	bool overlaps = cpu->group_size && cpu->group_size < params->overlap &&
			cpu->instructions - cpu->group_start < params->window &&
			!depends(cpu, miss->address, index_base);

	if (overlaps) {
		/* All of a group are waited for together: as long as the slowest takes. */
		uint64_t more = latency > cpu->group_cost ? latency - cpu->group_cost : 0;

		cpu->group_size++;
		cpu->group_cost += more;
		cpu->now += more;
	} else {
		cpu->group_size = 1;
		cpu->group_start = cpu->instructions;
		cpu->group_cost = latency;
		cpu->now += latency;
	}
	cpu->index_base = index_base;
	cpu->loaded = miss->value;
	return false;
}
