/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A backend: a way of holding. The holder (holder.c) has the thread, the cgroup's files and what was
 * measured; its backend decides in each turn what follows from it: where the fence goes, and who has
 * to move what. Each is a file of its own, which backends.c lists.
 */
#ifndef BEDE_BACKEND_H
#define BEDE_BACKEND_H

#include <stdint.h>

struct bede_holder;
struct bede_params;

/* Each of these runs in the holder's thread, under its lock, but create and destroy. */
struct bede_backend_ops {
	const char *name; /* as in a container's record */
	/* Make holder->state, which is the backend's own, and start threads. Returns 0 or a negative errno. */
	int (*create)(struct bede_holder *holder, const struct bede_params *params);
	/*
	 * After a measurement: moves the fence, and says how it stands in the holder's busy, lifted, steered
	 * and stats. room is in how many bytes the next turn is due, by what the growth is now.
	 */
	int (*turn)(struct bede_holder *holder, uint64_t *room);
	/* The bound has changed; NULL where that needs nothing. */
	void (*set)(struct bede_holder *holder, uint64_t before);
	/*
	 * End threads and free the state. Returns 0 or a negative errno: -ETIMEDOUT where a thread hangs, which
	 * has both state and holder in use for ever.
	 */
	int (*destroy)(struct bede_holder *holder);
};

extern const struct bede_backend_ops bede_tier, bede_migrate;

/* The backend of that name, or NULL. */
const struct bede_backend_ops *bede_backend_find(const char *name);

#endif
