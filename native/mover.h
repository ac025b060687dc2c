/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The mover: one thread for each container, which moves its mapped pages between local and far nodes.
 *
 * It demotes the coldest and promotes the hottest pages, as measured by DAMON (heat.h). If that
 * cannot be used, it takes pages in turn, like the hand of a clock.
 */
#ifndef BEDE_MOVER_H
#define BEDE_MOVER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "pages.h"

/* What the mover has to do; bytes. */
struct bede_ask {
	uint64_t demote;
	uint64_t promote;
	uint64_t exchange; /* bring hot far pages home, and cold local pages away in return */
	uint64_t from;	   /* the nodes to demote from, bit n: node n ... */
	uint64_t to;	   /* ... and to promote to */
	bool fresh;	   /* measure heat before demoting, unless that has just been done */
	bool look;	   /* read the areas, to find memory that programs have placed themselves */
};

struct bede_moved {
	uint64_t demoted; /* bytes, since the start */
	uint64_t promoted;
	uint64_t tries;		/* batches */
	uint64_t program_bound; /* bytes on local nodes that their program has placed there itself */
	uint64_t used_us;	/* processor time */
	uint64_t measured;	/* times that heat was measured */
	uint64_t looks;		/* times that the VMAs were read */
	uint64_t rests_us;	/* until then nothing is tried: a whole round has moved nothing */
	bool measuring;		/* now */
};

/* Where the mover continues in its ranges. */
struct bede_hand {
	size_t index;
	uint64_t at; /* an address in that range, or 0: its start */
	bool moved;  /* something was moved since the round began */
};

struct bede_mover {
	pthread_mutex_t lock;
	pthread_cond_t wanted;
	pthread_t thread;
	bool running;
	bool stop;
	bool busy;
	struct bede_ask ask;
	struct bede_moved moved;
	atomic_int measuring; /* 0 ends a measurement early */

	/* Used by the thread only. */
	int dir;  /* of the cgroup */
	int wake; /* an eventfd that is written to when something was done */
	uint64_t local_mask;
	uint64_t far_mask;
	uint64_t rate;	  /* most bytes a second */
	uint64_t paid_us; /* nothing may be moved before this time, or the rate would be exceeded */
	struct bede_vmas vmas;
	struct bede_ranges heat;
	uint64_t read_us;	    /* when the VMAs are to be read again ... */
	uint64_t earliest_us;	    /* ... and may be: reading costs */
	uint64_t heat_us;	    /* when heat was measured, or 0 ... */
	uint64_t tried_us;	    /* ... or at least tried */
	uint64_t rest_us;	    /* length of its last rest */
	struct bede_hand cold, hot; /* next to be demoted, and promoted */
	struct bede_pages pages;
	struct bede_pages others;
};

/*
 * mover must be all zero. The caller keeps dir, wake and cgroup, the path of dir from the cgroup root, and
 * closes or frees them after the end. Returns 0 or a negative errno.
 */
int bede_mover_start(struct bede_mover *mover, int dir, const char *cgroup, int wake, uint64_t local_mask,
		     uint64_t far_mask, uint64_t rate);

/* Replace the task, unless the mover is working: then returns false. Never blocks for long. */
bool bede_mover_ask(struct bede_mover *mover, const struct bede_ask *ask);

void bede_mover_moved(struct bede_mover *mover, struct bede_moved *out);

/*
 * Returns 0, or -ETIMEDOUT if the thread hangs in the kernel: then mover, and everything passed to it,
 * stays in use for ever.
 */
int bede_mover_stop(struct bede_mover *mover);

#endif
