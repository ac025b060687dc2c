/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Does to a holder at once all that the agent does, under ThreadSanitizer. The holder runs on a directory
 * of plain files instead of a cgroup (a mock), in which the usage goes up and down meanwhile.
 *
 *     race DIR LRU_FILE TURNS [BACKEND]
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "holder.h"

#define MIB (1024 * 1024)

static int directory;

static void put(const char *name, const char *text)
{
	BEDE_FD fd = openat(directory, name, O_WRONLY);

	if (fd < 0 || pwrite(fd, text, strlen(text), 0) < 0)
		exit(2);
}

/* Write the local usage as the kernel shows it. All numbers have one width, so no read sees half a write. */
static void use(uint64_t bytes)
{
	char text[128];

	snprintf(text, sizeof(text), "inactive_anon N0=%010" PRIu64 " N1=%010d\n", bytes, 4 * MIB);
	put("memory.numa_stat", text);
	snprintf(text, sizeof(text), "%010" PRIu64 "\n", bytes + 4 * MIB);
	put("memory.current", text);
}

int main(int argc, char **argv)
{
	struct bede_params params = { .lru_path = "/a",
				      .lru_file = argv[2],
				      .local_mask = 1,
				      .far_mask = 2,
				      .bound = 8 * MIB,
				      .user_high = BEDE_NO_LIMIT,
				      .user_swap_max = BEDE_NO_LIMIT };
	struct bede_holder *holder;
	struct bede_stats stats;

	if (argc != 4 && argc != 5)
		return 2;
	params.backend = argc == 5 ? argv[4] : "tier";
	params.steered = argc == 5;
	params.home = "0";
	params.away = "0-1";
	directory = open(argv[1], O_RDONLY | O_DIRECTORY);
	for (int node = 0; node < BEDE_MAX_NODES; node++)
		params.node_bound[node] = BEDE_NO_LIMIT;
	params.cgroup_fd = directory;
	if (bede_holder_start(&params, &holder))
		return 2;
	for (int turn = 0; turn < atoi(argv[3]); turn++) {
		use((uint64_t)(turn % 12) * MIB);
		bede_holder_set(holder, (uint64_t)(4 + turn % 5) * MIB, params.node_bound);
		bede_holder_stats(holder, &stats);
		usleep(2000);
	}
	/* A malformed file ends the thread, while its statistics are read. */
	put("memory.current", "gone");
	for (int look = 0; look < 1000 && !stats.error; look++) {
		bede_holder_stats(holder, &stats);
		usleep(2000);
	}
	printf("%" PRIu64 " %" PRIu64 " %d\n", stats.rounds, stats.tries, stats.error);
	return bede_holder_stop(holder, 1) ? 1 : 0;
}
