/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "placement.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "mark.h"

/* Where a page's name has the number of its address space: MODEL_SPACE_SHIFT in plugin/pages.h. */
#define SPACE_SHIFT 44
#define SPACE_MASK 0x7ffff
#define BATCH 1024
#define MPOL_MF_MOVE_ALL 4 /* linux/mempolicy.h */

static int move(int pid, void **addresses, size_t count, int node)
{
	int nodes[BATCH], status[BATCH];

	for (size_t i = 0; i < count; i++)
		nodes[i] = node;
	return syscall(SYS_move_pages, pid, count, addresses, nodes, status, MPOL_MF_MOVE_ALL) < 0 ? -errno :
												     0;
}

static unsigned space_of(int pid)
{
	char path[64], comm[17] = "";
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	file = fopen(path, "re");
	if (!file)
		return 0;
	if (!fgets(comm, sizeof(comm), file))
		comm[0] = 0;
	fclose(file);
	return bede_mark_space(comm, 0);
}

static int move_named(FILE *file, int pid, int local)
{
	unsigned space = space_of(pid);
	struct {
		uint64_t name, count;
	} page;
	void *addresses[BATCH];
	uint64_t left;
	size_t have = 0;
	int error = 0;

	if (fread(&left, sizeof(left), 1, file) != 1)
		return -EINVAL;
	while (!error && left--) {
		if (fread(&page, sizeof(page), 1, file) != 1)
			return -EINVAL;
		if ((page.name >> SPACE_SHIFT & SPACE_MASK) == space)
			addresses[have++] = (void *)(page.name << 12 & 0xffffffffff000ULL);
		if (have == BATCH || !left) {
			error = have ? move(pid, addresses, have, local) : 0;
			have = 0;
		}
	}
	return error;
}

int placement_apply(const char *path, int pid, int local, int far)
{
	unsigned long from = 1UL << local, to = 1UL << far;
	FILE *file = fopen(path, "re");
	int error;

	if (!file)
		return -errno;
	error = syscall(SYS_migrate_pages, pid, 8 * sizeof(from), &from, &to) < 0 ? -errno : 0;
	if (!error)
		error = move_named(file, pid, local);
	fclose(file);
	return error;
}
