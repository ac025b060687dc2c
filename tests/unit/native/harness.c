/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs the native code under the sanitizers, without a kernel: parses texts from files, and runs a
 * holder on a directory of plain files instead of a cgroup (a mock: plain files have no events).
 *
 *     harness numa FILE | lru FILE PATH [INODE] | hold DIR LRU_FILE MILLISECONDS [BACKEND] | deadline
 *     harness recount DIR LRU_FILE CURRENT AT_US...
 *     harness shortage FILE...
 *     harness vmas MAPS NUMA_MAPS LOCAL_MASK | tree DIR | order RANGES HEAT
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "deadline.h"
#include "holder.h"
#include "kfile.h"
#include "order.h"
#include "range_text.h"
#include "recount.h"
#include "shortage.h"
#include "vmas.h"

static int show(void *context, uint64_t id, int node, uint64_t seq, uint64_t anon, uint64_t file)
{
	(void)context;
	printf("%" PRIu64 " %d %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", id, node, seq, anon, file);
	return 0;
}

static int parse(int argc, char **argv)
{
	BEDE_BUFFER buffer = { 0 };
	BEDE_FD fd = open(argv[2], O_RDONLY);
	struct bede_numa numa;

	if (fd < 0 || bede_read(fd, &buffer))
		return 2;
	/* Copy the text to a buffer of exactly its length, so that the sanitizer sees a read beyond it. */
	char *text = malloc(buffer.length ? buffer.length : 1);

	memcpy(text, buffer.text, buffer.length);
	uint64_t inode = argc > 4 ? strtoull(argv[4], NULL, 10) : 0;
	int err = argc > 3 ? bede_parse_lru_gen(text, buffer.length, argv[3], inode, show, NULL) :
			     bede_parse_numa_stat(text, buffer.length, &numa);

	free(text);
	return err ? 1 : 0;
}

static int hold(char **argv, const char *backend)
{
	struct bede_params params = { .lru_path = "/a",
				      .lru_file = argv[3],
				      .local_mask = 1,
				      .far_mask = 2,
				      .backend = backend,
				      .bound = 1 << 20,
				      .user_high = BEDE_NO_LIMIT,
				      .user_swap_max = BEDE_NO_LIMIT,
				      .notify_fd = -1 };
	BEDE_FD dir = open(argv[2], O_RDONLY | O_DIRECTORY);
	struct bede_holder *holder;
	struct bede_stats stats;

	for (int node = 0; node < BEDE_MAX_NODES; node++)
		params.node_bound[node] = BEDE_NO_LIMIT;
	params.cgroup_fd = dir;
	if (bede_holder_start(&params, &holder))
		return 1;
	/* Wait for at least one turn, however busy the machine is. */
	do {
		usleep((useconds_t)atoi(argv[4]) * 1000);
		bede_holder_stats(holder, &stats);
	} while (!stats.rounds && !stats.error);
	bede_holder_set(holder, 2 << 20, params.node_bound);
	printf("%" PRIu64 " %" PRIu64 " %" PRIu64 " %d\n", stats.local, stats.far, stats.fence, stats.error);
	return bede_holder_stop(holder, 1) ? 1 : 0;
}

/* Print for each time AT_US: the bytes on nodes 0 and 1, and how often lru_gen was read so far. */
static int recount(int argc, char **argv)
{
	BEDE_FD dir = open(argv[2], O_RDONLY | O_DIRECTORY);
	BEDE_FD fd = openat(dir, "memory.numa_stat", O_RDONLY);
	BEDE_BUFFER buffer = { 0 };
	struct bede_recount recount;
	struct bede_numa numa;

	if (bede_read(fd, &buffer))
		return 2;
	bede_recount_open(&recount, dir, argv[3], "/a");
	for (int i = 5; i < argc; i++) {
		if (bede_parse_numa_stat(buffer.text, buffer.length, &numa))
			return 2;
		bede_recount(&recount, &numa, strtoull(argv[i], NULL, 10), strtoull(argv[4], NULL, 10),
			     UINT64_MAX, 4096);
		printf("%" PRIu64 " %" PRIu64 " %" PRIu64 "\n", numa.lru[0], numa.lru[1], recount.count);
	}
	bede_recount_close(&recount);
	return 0;
}

/* Setting or clearing a deadline that is not open must not touch the timer of another one. */
static int deadline(void)
{
	struct bede_deadline first = { 0 }, none = { 0 };
	struct itimerspec left;

	if (bede_deadline_open(&first))
		return 2;
	bede_deadline_set(&none, 60000000);
	timer_gettime(first.timer, &left);
	int disturbed = left.it_value.tv_sec || left.it_value.tv_nsec;

	bede_deadline_set(&first, 60000000);
	bede_deadline_clear(&none);
	timer_gettime(first.timer, &left);
	disturbed |= !left.it_value.tv_sec;
	bede_deadline_close(&none);
	bede_deadline_close(&first);
	return disturbed;
}

/* Print a process's ranges that may be moved, then its bytes in memory and the program-bound ones. */
static int vmas_of(char **argv)
{
	struct bede_vmas vmas = { 0 };
	struct bede_process process = { .pid = 7 };

	if (read_file(argv[2], &vmas.maps) || read_file(argv[3], &vmas.numa))
		return 2;
	int err = bede_vmas_parse(&vmas, &process, strtoull(argv[4], NULL, 10));

	show_ranges(&vmas.ranges);
	printf("%" PRIu64 " %" PRIu64 "\n", process.bytes, vmas.program_bound);
	bede_vmas_free(&vmas);
	return err ? 1 : 0;
}

/* Print the processes of a cgroup and of those below it, and whether they have memory to move. */
static int tree(char **argv)
{
	struct bede_vmas vmas = { 0 };
	BEDE_FD dir = open(argv[2], O_RDONLY | O_DIRECTORY);
	int err = bede_vmas_read(&vmas, dir, 1, NULL, NULL);

	for (size_t i = 0; i < vmas.count; i++)
		printf("%d %d\n", vmas.processes[i].pid, vmas.processes[i].bytes > 0);
	bede_vmas_free(&vmas);
	return err ? 1 : 0;
}

static int order(char **argv)
{
	struct bede_ranges ranges = { 0 }, heat = { 0 };

	if (read_ranges(argv[2], &ranges) || read_ranges(argv[3], &heat))
		return 2;
	bede_order_by_place(&heat);
	int err = bede_order(&ranges, &heat, true, NULL);

	show_ranges(&ranges);
	for (size_t i = 0; i < ranges.count && !err; i++)
		err = bede_order_find(&ranges, &ranges.at[i]) != i;
	free(ranges.at);
	free(heat.at);
	return err ? 1 : 0;
}

/* Print the level after a look at each of the files, in this order. */
static int shortage(int argc, char **argv)
{
	struct bede_shortage shortage;

	bede_shortage_open(&shortage, argv[2]);
	for (int i = 2; i < argc; i++) {
		bede_shortage_close(&shortage);
		shortage.fd = open(argv[i], O_RDONLY);
		bool other = bede_shortage_look(&shortage, (uint64_t)i * 1000000);
		bool soon = bede_shortage_look(&shortage, (uint64_t)i * 1000000 + 1);

		printf("%d%s%s\n", shortage.level, other ? " other" : "", soon ? " soon" : "");
	}
	bede_shortage_close(&shortage);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc > 2 && !strcmp(argv[1], "shortage"))
		return shortage(argc, argv);
	if (argc == 2 && !strcmp(argv[1], "deadline"))
		return deadline();
	if ((argc == 5 || argc == 6) && !strcmp(argv[1], "hold"))
		return hold(argv, argc == 6 ? argv[5] : "tier");
	if (argc == 5 && !strcmp(argv[1], "vmas"))
		return vmas_of(argv);
	if (argc == 3 && !strcmp(argv[1], "tree"))
		return tree(argv);
	if (argc == 4 && !strcmp(argv[1], "order"))
		return order(argv);
	if (argc > 5 && !strcmp(argv[1], "recount"))
		return recount(argc, argv);
	return argc > 2 ? parse(argc, argv) : 2;
}
