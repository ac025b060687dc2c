/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The mover: one thread for each container, which moves its mapped pages between local and far nodes.
 *
 * It demotes the coldest and promotes the hottest pages, by the scores of exchange.h. Without a source of heat it
 * takes pages in turn, as the CLOCK algorithm does.
 */
#ifndef BEDE_MOVER_H
#define BEDE_MOVER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "exchange.h"
#include "hits.h"
#include "holder.h"

/* What the mover has to do; bytes. */
struct bede_ask {
	uint64_t demote;
	uint64_t promote;
	uint64_t exchange; /* promote hot far pages, and demote as many cold local pages for them */
	uint64_t fill;	   /* promote hot far pages into free room */
	uint64_t from;	   /* the nodes to demote from, bit n: node n ... */
	uint64_t to;	   /* ... and to promote to */
	uint64_t bound;	   /* the bound in force */
	bool huge;	   /* most of the container's memory is in huge pages */
	bool fresh;	   /* measure heat before demoting, unless that has just been done */
	bool cache;	   /* demote page cache first, and mapped memory only if that does not do ... */
	bool swap_closed;  /* ... and while the kernel reclaims that, nothing can be swapped */
	bool look;	   /* read the VMAs, to find program-bound memory */
};

struct bede_moved {
	uint64_t demoted; /* bytes, since the start */
	uint64_t promoted;
	uint64_t tries;		/* batches of pages */
	uint64_t program_bound; /* bytes of program-bound memory on local nodes */
	uint64_t used_us;	/* CPU time, and that which the kernel spent on measuring heat */
	uint64_t vain;		/* bytes that were moved back within ten seconds */
	struct bede_hits hits;	/* how good the placement was at last */
	uint64_t due_us;	/* when the next exchange is due */
	uint64_t fill_us;	/* no sooner than then free room is to be filled again */
	uint64_t full_us;	/* when nothing was found to fill it with; 0: never */
	uint64_t measured;	/* times that heat was measured */
	uint64_t looks;		/* times that the VMAs were read */
	uint64_t rests_us;	/* the mover rests until then, because a whole round has moved nothing */
	bool measuring;		/* heat is being measured now */
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
	int wake; /* an eventfd that is written to when a task is done */
	uint64_t local_mask;
	uint64_t far_mask;
	uint64_t rate;	    /* most bytes a second; 0: no limit */
	uint64_t paid_us;   /* nothing may be moved before this time, or the rate would be exceeded */
	uint64_t rest_us;   /* length of the mover's last rest */
	uint64_t kernel_us; /* CPU time that the kernel spent on measuring heat */
	bool kept;	    /* see struct bede_heat_ask */
	struct bede_search search;
	struct bede_pages pages;
	struct bede_pages others; /* in an exchange: the pages to promote */
	struct bede_exchange exchange;
};

/*
 * mover must be all zero. cgroup is the path of dir from the cgroup root. dir, wake, cgroup and ticket (NULL: promote
 * without one) stay the caller's, who closes or frees them after the end. Returns 0 or a negative errno.
 */
int bede_mover_start(struct bede_mover *mover, int dir, const char *cgroup, int wake, uint64_t local_mask,
		     uint64_t far_mask, uint64_t rate, struct bede_ticket *ticket);

/* Give the mover this task. False if it is still working: then nothing changes. Never blocks for long. */
bool bede_mover_ask(struct bede_mover *mover, const struct bede_ask *ask);

void bede_mover_moved(struct bede_mover *mover, struct bede_moved *out);

/* Copy those counts into a holder's statistics that mean the same with each backend. */
void bede_mover_publish(const struct bede_moved *moved, struct bede_stats *out);

/*
 * End the thread. Returns 0, or -ETIMEDOUT if the thread hangs in the kernel: then mover, and everything
 * passed to it, stays in use for ever.
 */
int bede_mover_stop(struct bede_mover *mover);

#endif
