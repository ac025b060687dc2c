/* SPDX-License-Identifier: Apache-2.0 */
/* The modelled machine as a whole: what its files share. QEMU runs all CPUs in one thread, so there are no locks. */
#pragma once
#include "../mark.h"
#include "cache.h"
#include "pages.h"
#include "qemu.h"
#include "timing.h"

#define MODEL_CPUS 64
#define MODEL_GROUPS 512
#define MODEL_SPACES 1024
#define MODEL_FILTER 512 /* lines: 32 KiB, a first level cache */
#define MODEL_TEXT 64

enum model_mode { MODEL_USER, MODEL_KERNEL, MODEL_MODES };

/* Everything is a sum since the count began. Times are picoseconds. */
struct model_counts {
	uint64_t instructions;
	uint64_t time;
	uint64_t private_misses;
	uint64_t shared_hits;
	uint64_t misses[MODEL_MODES][MODEL_NODES];
	uint64_t streamed[MODEL_NODES]; /* of these misses, those that a prefetcher had fetched */
};

/* What is counted apart: the tasks of one cgroup. */
struct model_group {
	uint64_t id; /* the number of the cgroup's directory; 0 for what is in none that is known */
	struct model_counts counts;
};

struct model_space {
	uint64_t mm;
	char comm[16]; /* TASK_COMM_LEN, linux/sched.h */
};

struct model_vcpu {
	uint64_t
		filter[MODEL_FILTER]; /* virtual lines that hit at no cost; forgotten when the task changes */
	uint64_t instructions;	      /* that were begun */
	struct model_cpu timing;
	struct model_cache cache;
	struct model_group *group;		 /* of the task that runs */
	uint64_t since_time, since_instructions; /* when the group was last charged */
	unsigned space;				 /* number of the address space of the task that runs */
	unsigned node;
};

struct model_range {
	uint64_t start, end; /* physical addresses */
	unsigned node;
};

struct model {
	qemu_plugin_id_t id;
	bool counts;
	unsigned current; /* the CPU that runs */
	struct model_params params;
	struct model_link links[MODEL_NODES][MODEL_NODES]; /* node of the CPU, node of the memory */
	struct model_device devices[MODEL_NODES];
	struct model_range ranges[2 * MODEL_NODES];
	unsigned n_ranges, n_cpus, n_nodes;
	uint64_t private_bytes, shared_bytes;
	unsigned private_ways, shared_ways;
	struct model_cache shared;
	struct model_vcpu cpus[MODEL_CPUS];
	struct model_group groups[MODEL_GROUPS]; /* the first is that of no known cgroup */
	unsigned n_groups;
	struct bede_mark_layout layout;
	struct model_space spaces[MODEL_SPACES]; /* of the followed cgroup, as they were seen */
	unsigned n_spaces;
	uint64_t followed; /* id of the cgroup whose misses are logged by page; 0: none */
	struct model_pages log;
	FILE *log_file;
	struct model_pages placement; /* what is local in spite of where it is */
	FILE *placement_file;
	unsigned placement_node, other_node; /* where it pretends that pages are, and all others */
	char report[512];
};

extern struct model model;

/* model.c: brings the counts of @cpu's group up to date. */
void model_settle(unsigned cpu);
/* model.c: begins the count. */
void model_begin(void);

/* config.c: reads the file at @path. Returns 0, or -1 after a message on standard error. */
int model_configure(const char *path);

/* guest.c */
void model_find_registers(void); /* only while a CPU is being set up */
void model_on_mark(unsigned cpu, void *op);
void model_on_switch(unsigned cpu, void *unused);

/* report.c: appends one line of JSON, with @text as the guest sent it. */
void model_report(const char *text);
