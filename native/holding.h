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

#define STALL_US 500000 /* after so long without progress a container is stalled: lift the fence */
#define LIFT_US 500000	/* how long the fence stays lifted */
#define CALM_US 2000000 /* how long a container still counts as near its bound after it was */

/* The cgroup's directory and open files in it; -1: none. */
struct bede_files {
	int dir, current, high, numa, stat, cpu, events;
};

struct bede_holder {
	pthread_t thread;
	pthread_mutex_t lock;
	int wake;   /* an eventfd that wakes the thread */
	int notify; /* an eventfd of the holder's owner, or -1 */
	bool stop;
	bool fenced;  /* a change of memory.events has woken the thread */
	bool busy;    /* there is work to do even if the container is idle */
	bool lifted;  /* the fence is lifted: the container is above its bound and nothing can be demoted */
	bool steered; /* the holder decides on which nodes the container's tasks allocate */
	bool met;     /* overshoot counts now: see note_overshoot() in holder.c */
	bool told;    /* the owner has been told of program-bound memory */
	char *lru_path;
	struct bede_files file;
	struct bede_buffer buffer;
	struct bede_control control;
	struct bede_deadline deadline;
	struct bede_swapguard swap;
	struct bede_shortage shortage;
	struct bede_ceilings ceilings;
	uint64_t ceilings_room; /* bytes of growth until one of the ceilings is near, as of this turn */
	struct bede_idle idle;
	struct bede_recount recount;
	struct bede_stats stats;
	uint64_t user_high;
	uint64_t last_fence;
	uint64_t set_us;    /* when usage was first compared with the bound in force; 0: not yet */
	uint64_t cpus_us;   /* when the container's CPUs were last counted */
	uint64_t kernel_us; /* when kernel memory was last measured */
	const struct bede_backend_ops *ops;
	void *state; /* the backend's own */
};

/*
 * The total usage at which a bound would be passed, by its room; no higher than the fence stands already, if it is passed: a fence that
 * rises with the usage stops nobody.
 */
uint64_t bede_holder_end(const struct bede_holder *holder, uint64_t room);

/*
 * Move the fence to so many bytes, at most to the user's own memory.high. It stays where it is if tasks are past it, and past the new
 * one too: last_fence tells. Returns 0 or a negative errno.
 */
int bede_holder_fence(struct bede_holder *holder, uint64_t fence);

#endif
