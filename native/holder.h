/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The holder: one thread for each bound container. It waits for an event or a timer, measures the
 * container's memory, and lets the container's backend (backend.h) act on that.
 *
 * All backends use the fence: memory.high, kept at the container's total usage plus what is left of its
 * bound. A task that would take local usage past the bound passes memory.high first, and must reclaim
 * before it returns to user space; where there is a lower memory tier, reclaim demotes.
 */
#ifndef BEDE_HOLDER_H
#define BEDE_HOLDER_H

#include "kfile.h"

#define BEDE_NO_LIMIT UINT64_MAX

struct bede_params {
	int cgroup_fd;	      /* directory of the cgroup; stays the caller's */
	const char *lru_path; /* the cgroup's path in lru_file, from the cgroup root; copied */
	const char *lru_file; /* debugfs lru_gen, or NULL: hold by the fence alone */
	uint64_t local_mask;  /* bit n: node n is local */
	uint64_t far_mask;
	uint64_t bound;			     /* bytes over all local nodes */
	uint64_t node_bound[BEDE_MAX_NODES]; /* bytes, BEDE_NO_LIMIT for none */
	uint64_t user_high;		     /* the user's own memory.high */
	uint64_t user_swap_max;		     /* the user's own memory.swap.max */
	const char *backend;		     /* the backend's name: see backends.c */
	int steered;	    /* tasks have the policy by which cpuset.mems decides where they allocate */
	const char *home;   /* cpuset.mems for allocation on local nodes; copied */
	const char *away;   /* cpuset.mems for allocation on far nodes; copied */
	uint64_t move_rate; /* most bytes a second that the mover moves; 0: no limit */
	int promotes;	    /* the mover promotes where the kernel could: on tiers */
	int unbalanced;	    /* NUMA balancing promotes nothing of it */
	/*
	 * An eventfd, or -1. The holder writes to it when it ends, stalls or stops steering, when it first
	 * finds program-bound memory, and when the user's limits change.
	 */
	int notify_fd;
};

struct bede_stats {
	uint64_t bound;
	uint64_t local; /* bytes, as of the last round */
	uint64_t far;
	uint64_t current;
	uint64_t fence;
	uint64_t user_high;
	uint64_t user_swap_max;
	/* Most bytes that local was above the bound; see note_overshoot() in holder.c. */
	uint64_t over;
	uint64_t demoted;  /* bytes that the holder asked the kernel to demote, or that the mover demoted */
	uint64_t promoted; /* bytes that the mover promoted */
	uint64_t program_bound; /* bytes of program-bound memory on local nodes */
	uint64_t mover_us;	/* CPU time of the mover, and that which the kernel spent on measuring heat */
	uint64_t measured;	/* times that the mover measured heat */
	uint64_t exchanged;	/* bytes that the mover demoted where the kernel demotes, too: on tiers */
	uint64_t vain;		/* bytes that the mover moved back within ten seconds */
	uint64_t hits_local; /* thousandths of what was in use that are local, by the last measurement ... */
	uint64_t hits_best;  /* ... and that would be, if the best pages were; 0: nothing was measured */
	uint64_t tries;	     /* demotion commands, or batches of the mover */
	uint64_t rounds;     /* turns of the holder's loop */
	/* Times that a change of memory.events began a turn, mostly because a task exceeded the fence. */
	uint64_t fence_events;
	uint64_t stalls; /* times that demotion made no progress and the fence was lifted */
	int stalled;	 /* the container is stalled now */
	int steered;	 /* its allocation is steered now: see migrate.c */
	int away;	 /* it allocates on far nodes now */
	int error;	 /* negative errno that ended the thread, or 0 */
};

struct bede_holder;

/* Start holding. Returns 0 or a negative errno. */
int bede_holder_start(const struct bede_params *params, struct bede_holder **out);

/* Change the bound at once; node_bound has BEDE_MAX_NODES entries. Returns 0. */
int bede_holder_set(struct bede_holder *holder, uint64_t bound, const uint64_t *node_bound);

void bede_holder_stats(struct bede_holder *holder, struct bede_stats *out);

/*
 * End the thread and free the holder; with restore, put the user's own limits back. Returns 0 or a negative
 * errno; -ETIMEDOUT: a thread hangs in the kernel, and the holder is not freed.
 */
int bede_holder_stop(struct bede_holder *holder, int restore);

#endif
