/*
 * The native code under the sanitizers, without a kernel: texts from files, and a holder on a
 * directory of plain files that stands in for a cgroup (a mock: plain files have no events).
 *
 *     harness numa FILE | lru FILE PATH | hold DIR LRU_FILE MILLISECONDS
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "holder.h"
#include "kfile.h"

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
	/* A copy of just its length: reading one byte beyond it is seen. */
	char *text = malloc(buffer.length ? buffer.length : 1);

	memcpy(text, buffer.text, buffer.length);
	int err = argc > 3 ? bede_parse_lru_gen(text, buffer.length, argv[3], show, NULL) :
			     bede_parse_numa_stat(text, buffer.length, &numa);

	free(text);
	return err ? 1 : 0;
}

static int hold(char **argv)
{
	struct bede_params params = { .lru_path = "/a", .lru_file = argv[3], .local_mask = 1, .far_mask = 2,
				      .bound = 1 << 20, .user_high = BEDE_NO_LIMIT,
				      .user_swap_max = BEDE_NO_LIMIT, .cpus = 2, .notify_fd = -1 };
	BEDE_FD dir = open(argv[2], O_RDONLY | O_DIRECTORY);
	struct bede_holder *holder;
	struct bede_stats stats;

	for (int node = 0; node < BEDE_MAX_NODES; node++)
		params.node_bound[node] = BEDE_NO_LIMIT;
	params.cgroup_fd = dir;
	if (bede_holder_start(&params, &holder))
		return 1;
	usleep((useconds_t)atoi(argv[4]) * 1000);
	bede_holder_stats(holder, &stats);
	bede_holder_set(holder, 2 << 20, params.node_bound);
	printf("%" PRIu64 " %" PRIu64 " %" PRIu64 " %d\n", stats.local, stats.far, stats.fence, stats.error);
	return bede_holder_stop(holder, 1) ? 1 : 0;
}

int main(int argc, char **argv)
{
	if (argc == 5 && !strcmp(argv[1], "hold"))
		return hold(argv);
	return argc > 2 ? parse(argc, argv) : 2;
}
