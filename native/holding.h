/* SPDX-License-Identifier: Apache-2.0 */
/* What the holder (holder.c) and its backends (backend.h) share: one container's files and figures. */
#ifndef BEDE_HOLDING_H
#define BEDE_HOLDING_H

#include <pthread.h>
#include <stdbool.h>

#include "backend.h"
#include "ceilings.h"
#include "control.h"
#include "deadline.h"
#include "holder.h"
#include "idle.h"
#include "recount.h"
#include "shortage.h"
#include "swapguard.h"

#define STALL_US 500000 /* when nothing has moved for so long, nothing can be: the fence is lifted ... */
#define LIFT_US 500000	/* ... for so long */
#define CALM_US 2000000 /* away from the bound for so long, it is over */

struct bede_files {
	int dir, current, high, numa, stat, cpu, events;
};

struct bede_holder {
	pthread_t thread;
	pthread_mutex_t lock;
	int wake;
	int notify; /* an eventfd of the holder's owner, or -1 */
	bool stop;
	bool fenced;  /* memory.events has woken the thread */
	bool busy;    /* there is work to do even if the container is idle */
	bool lifted;  /* the container is above its bound and cannot be brought back now */
	bool steered; /* the holder decides on which nodes its tasks allocate */
	bool met;     /* the bound has been met since it was set, or would have been if it could be */
	bool told;    /* the owner knows of memory that programs have placed themselves */
	char *lru_path;
	struct bede_files file;
	struct bede_buffer buffer;
	struct bede_control control;
	struct bede_deadline deadline;
	struct bede_swapguard swap;
	struct bede_shortage shortage;
	struct bede_ceilings ceilings;
	uint64_t ceilings_room; /* until one of them is near, as of this turn */
	struct bede_idle idle;
	struct bede_recount recount;
	struct bede_stats stats;
	uint64_t user_high;
	uint64_t last_fence;
	uint64_t set_us;    /* when the bound in force was first looked at, or 0 */
	uint64_t cpus_us;   /* when its processors were last counted */
	uint64_t kernel_us; /* when kernel memory was last measured */
	const struct bede_backend_ops *ops;
	void *state; /* the backend's own */
};

/* Move the fence to so many bytes, the user's own memory.high at most. Returns 0 or a negative errno. */
int bede_holder_fence(struct bede_holder *holder, uint64_t fence);

#endif
