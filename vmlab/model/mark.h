/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a program in the machine speaks to the model: a "nop" whose displacement says what is meant, with an
 * argument in RAX. On a real CPU, and in a machine without the model, it does nothing.
 */
#pragma once
#include <stdint.h>

#define BEDE_MARK_MAGIC 0xbede0000U /* the displacement's upper half; the lower is one of: */
enum bede_mark_op {
	BEDE_MARK_LAYOUT = 1, /* argument: struct bede_mark_layout. Begins the count */
	BEDE_MARK_REPORT =
		2, /* argument: a text, at most BEDE_MARK_TEXT bytes. Its first line is the mark's name */
	BEDE_MARK_FOLLOW = 3, /* argument: number of a cgroup, whose misses are logged by page from now on */
	BEDE_MARK_EPOCH = 4,  /* writes the misses since the last of these to that log, as one epoch */
};
#define BEDE_MARK_TEXT 65536

/* Where the guest's kernel keeps what the model must know. All zero: no cgroup is told from another. */
struct bede_mark_layout {
	uint64_t switch_to;	 /* address of __switch_to(), whose second argument is the next task */
	uint64_t task_mm;	 /* offset of task_struct.mm */
	uint64_t task_comm;	 /* of task_struct.comm, the program's name */
	uint64_t task_cgroups;	 /* of task_struct.cgroups, a struct css_set */
	uint64_t css_set_cgroup; /* of css_set.dfl_cgrp */
	uint64_t cgroup_kn;	 /* of cgroup.kn, a struct kernfs_node */
	uint64_t kn_id;		 /* of kernfs_node.id: the number of the cgroup's directory */
};

/*
 * The number of a program's address space in a log of misses, from its name (/proc/PID/comm) and how many of the same
 * name came before it. So it is the same in the next run, whatever else ran in the cgroup.
 */
static inline unsigned bede_mark_space(const char *comm, unsigned before)
{
	unsigned hash = 2166136261U; /* FNV-1a */

	for (int i = 0; i < 16 && comm[i] && comm[i] != '\n'; i++)
		hash = (hash ^ (unsigned char)comm[i]) * 16777619U;
	return (hash % 2047 + 1) << 8 | (before < 255 ? before : 255);
}

#define BEDE_MARK(op, argument)                                                                      \
	__asm__ volatile(".byte 0x0f, 0x1f, 0x80\n\t.long %c0" ::"i"((int)(BEDE_MARK_MAGIC | (op))), \
			 "a"((uint64_t)(argument))                                                   \
			 : "memory")
