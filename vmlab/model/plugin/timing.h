/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a miss of the last level cache costs: an interval model of an out-of-order CPU.
 *
 * - A miss that nothing hides costs the latency of its node.
 * - Misses overlap if they are no more than a reorder buffer apart, and the later one's address was not loaded
 *   by the earlier one (Karkhanis and Smith, "A first-order superscalar processor model", ISCA 2004; Chou et al.,
 *   "Microarchitecture optimizations for exploiting memory-level parallelism", ISCA 2004).
 * - A miss that continues a stream was fetched ahead: it costs no latency, but waits for the link if the
 *   CPU is faster than that.
 * - A node may have a limit of bandwidth. While more is asked of it, each line waits.
 *
 * All times are picoseconds of modelled time. This file knows nothing of QEMU.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#define MODEL_NODES 8
/* Streams that one CPU follows; Intel's L2 prefetcher follows one or two in each of 32 pages. */
#define MODEL_STREAMS 16

/* A node's memory as one CPU sees it. */
struct model_link {
	uint64_t latency;   /* of a miss that nothing hides */
	uint64_t line_time; /* of one line in a stream: one CPU's bandwidth */
};

struct model_params {
	uint64_t instruction; /* each instruction's share of time, cache hits included */
	uint64_t shared_hit;  /* a hit in the last level cache */
	unsigned window;      /* instructions in the reorder buffer; 0: no miss overlaps with another */
	unsigned overlap;     /* misses that one CPU can wait for at once, at least 1 */
	unsigned ahead;	      /* lines that a prefetcher runs ahead of the CPU; 0: there is none */
};

/* Memory that all CPUs share. */
struct model_device {
	uint64_t line_time; /* of one line at its full bandwidth; 0: no limit */
	uint64_t wait;	    /* that each line has to bear at present */
	uint64_t epoch;	    /* when the current measurement began */
	uint64_t lines;	    /* asked for since then */
};

struct model_stream {
	uint64_t next;	/* virtual line that continues it */
	int64_t step;	/* +1 or -1 */
	uint64_t ready; /* when the line after that can be there */
	unsigned length;
	unsigned used; /* of model_cpu.turn, for the replacement */
};

struct model_cpu {
	uint64_t now; /* modelled time that this CPU has run for */
	uint64_t instructions;
	uint64_t group_start; /* of the overlapping misses: the first one's number of instructions */
	uint64_t group_cost;  /* latency that this group has paid so far */
	unsigned group_size;
	uint64_t loaded;    /* the value that the last miss loaded */
	int64_t index_base; /* address of the last miss, less 8 times the value that the one before it loaded */
	unsigned turn;
	struct model_stream streams[MODEL_STREAMS];
};

/* One miss of the last level cache. */
struct model_miss {
	uint64_t address; /* virtual */
	uint64_t value;	  /* that was loaded; 0 for a store */
};

/* Advances @cpu to its @instructions-th instruction. */
void model_run(const struct model_params *params, struct model_cpu *cpu, uint64_t instructions);

/* Charges @cpu for @miss. Returns true if a prefetcher had fetched the line. */
bool model_charge(const struct model_params *params, const struct model_link *link,
		  struct model_device *device, struct model_cpu *cpu, const struct model_miss *miss);

/* An access that hit a cache: it may continue or begin a stream. */
void model_hit(const struct model_params *params, struct model_cpu *cpu, uint64_t address);
