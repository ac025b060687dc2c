/* SPDX-License-Identifier: Apache-2.0 */
struct bede_params {
	int cgroup_fd;
	const char *lru_path;
	const char *lru_file;
	uint64_t local_mask;
	uint64_t far_mask;
	uint64_t bound;
	uint64_t node_bound[...];
	uint64_t user_high;
	uint64_t user_swap_max;
	const char *backend;
	int steered;
	const char *home;
	const char *away;
	uint64_t move_rate;
	int promotes;
	int unbalanced;
	int notify_fd;
	...;
};

struct bede_stats {
	uint64_t bound;
	uint64_t local;
	uint64_t far;
	uint64_t current;
	uint64_t fence;
	uint64_t user_high;
	uint64_t user_swap_max;
	uint64_t over;
	uint64_t demoted;
	uint64_t promoted;
	uint64_t program_bound;
	uint64_t mover_us;
	uint64_t measured;
	uint64_t exchanged;
	uint64_t vain;
	uint64_t hits_local;
	uint64_t hits_best;
	uint64_t tries;
	uint64_t rounds;
	uint64_t fence_events;
	uint64_t stalls;
	int stalled;
	int steered;
	int away;
	int error;
	...;
};

struct bede_holder;

int bede_holder_start(const struct bede_params *params, struct bede_holder **out);
int bede_holder_set(struct bede_holder *holder, uint64_t bound, const uint64_t *node_bound);
void bede_holder_stats(struct bede_holder *holder, struct bede_stats *out);
int bede_holder_stop(struct bede_holder *holder, int restore);
