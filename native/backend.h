/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A backend: one way of holding a bound. The holder (holder.c) has the thread, opens the cgroup's files and
 * measures. In each turn its backend decides what follows: where the fence goes, and how much to demote or
 * promote. Each backend is a file of its own, which backends.c lists.
 */
#ifndef BEDE_BACKEND_H
#define BEDE_BACKEND_H

#include <stdint.h>

struct bede_holder;
struct bede_params;

/* turn runs in the holder's thread, the others in the caller's. turn and set run under the holder's lock. */
struct bede_backend_ops {
	const char *name; /* the name in a container's record */
	/* Allocate holder->state, the backend's own, and start threads. Returns 0 or a negative errno. */
	int (*create)(struct bede_holder *holder, const struct bede_params *params);
	/*
	 * Act on a measurement: move the fence, and set the holder's busy, lifted, steered and stats. *room
	 * is set to the bytes that may still be allocated; the holder derives from it when the next turn is
	 * due.
	 */
	int (*turn)(struct bede_holder *holder, uint64_t *room);
	/* Note that the bound has changed from before. NULL: the backend need not do anything. */
	void (*set)(struct bede_holder *holder, uint64_t before);
	/*
	 * End threads and free holder->state. Returns 0 or a negative errno; -ETIMEDOUT if a thread hangs: it
	 * keeps using holder->state and the holder, so neither may be freed.
	 */
	int (*destroy)(struct bede_holder *holder);
};

extern const struct bede_backend_ops bede_tier, bede_migrate;

/* The backend of that name, or NULL. */
const struct bede_backend_ops *bede_backend_find(const char *name);

#endif
