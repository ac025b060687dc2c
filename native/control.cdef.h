/* SPDX-License-Identifier: Apache-2.0 */
struct bede_control {
	uint64_t local_mask;
	uint64_t far_mask;
	uint64_t bound;
	uint64_t node_bound[...];
	unsigned cpus;
	struct bede_numa numa;
	uint64_t local;
	uint64_t far;
	uint64_t kernel;
	int settled;
	double rate;
	double file_share;
	double huge_share;
	double promoted_share;
	...;
};

void bede_control_observe(struct bede_control *control, uint64_t at_us, uint64_t current);
uint64_t bede_control_room(const struct bede_control *control);
uint64_t bede_control_excess(const struct bede_control *control, int *node);
uint64_t bede_control_cache(const struct bede_control *control, uint64_t nodes);
uint64_t bede_control_wait(const struct bede_control *control, uint64_t room);
