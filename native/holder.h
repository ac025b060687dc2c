/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The holder: one thread for each bound container. It waits for an event or a timer, measures the
 * container's memory, and lets the container's backend (backend.h) act on that.
 *
 * What all backends use is the fence: memory.high, kept at the container's total usage plus what is left
 * of its bound. A task that would take local usage past the bound passes memory.high first, and must
 * reclaim before it returns to user space; with a lower memory tier, reclaim demotes.
 */
#ifndef BEDE_HOLDER_H
#define BEDE_HOLDER_H

#include "kfile.h"

#define BEDE_NO_LIMIT UINT64_MAX

struct bede_params {
	int cgroup_fd;	      /* directory of the cgroup; duplicated */
	const char *lru_path; /* its path in lru_file, from the cgroup root; copied */
	const char *lru_file; /* debugfs lru_gen, or NULL: the fence alone */
	uint64_t local_mask;  /* bit n: node n is local */
	uint64_t far_mask;
	uint64_t bound;			     /* bytes over all local nodes */
	uint64_t node_bound[BEDE_MAX_NODES]; /* bytes, BEDE_NO_LIMIT for none */
	uint64_t user_high;		     /* the user's own memory.high */
	uint64_t user_swap_max;		     /* the user's own memory.swap.max */
	const char *backend;		     /* the name of the one that holds it: see backends.c */
	int steered;	    /* its tasks have the policy by which cpuset.mems says where they allocate */
	const char *home;   /* cpuset.mems for local allocation ... */
	const char *away;   /* ... and for far; both copied */
	uint64_t move_rate; /* most bytes a second that are moved; 0: no limit */
	int notify_fd; /* eventfd, written to when the holder ends or stalls, or the user's limits change; or -1 */
};

struct bede_stats {
	uint64_t bound;
	uint64_t local; /* bytes, as of the last round */
	uint64_t far;
	uint64_t current;
	uint64_t fence;
	uint64_t user_high;
	uint64_t user_swap_max;
	uint64_t
		over; /* most that local was above the bound; not while a lowered bound is being met: see holder.c */
	uint64_t demoted;	/* bytes the holder asked the kernel to demote, or has moved itself */
	uint64_t promoted;	/* bytes the mover has brought back */
	uint64_t program_bound; /* bytes on local nodes by policies of programs, which stay there */
	uint64_t mover_us;	/* processor time of the mover */
	uint64_t measured;	/* times that the mover has measured heat */
	uint64_t tries;		/* commands that it took */
	uint64_t rounds;	/* turns of the loop */
	uint64_t fence_events;	/* turns that began because memory.events changed */
	uint64_t stalls;	/* times that demotion made no progress and the fence was lifted */
	int stalled;		/* now */
	int steered;		/* allocation is steered: see migrate.c */
	int away;		/* allocation goes to far nodes now */
	int error;		/* negative errno that ended the thread, or 0 */
};

struct bede_holder;

/* Start holding. Returns 0 or a negative errno. */
int bede_holder_start(const struct bede_params *params, struct bede_holder **out);

/* Change the bound at once; node_bound has BEDE_MAX_NODES entries. Returns 0. */
int bede_holder_set(struct bede_holder *holder, uint64_t bound, const uint64_t *node_bound);

void bede_holder_stats(struct bede_holder *holder, struct bede_stats *out);

/* End the thread and free the holder; with restore, put the user's own limits back. */
int bede_holder_stop(struct bede_holder *holder, int restore);

#endif
