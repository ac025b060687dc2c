/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Steering: on which nodes a container's tasks allocate, by a policy that follows cpuset.mems (policy.h).
 * At "home" cpuset.mems has the local nodes only; "away" it has far nodes as well, and the policy then
 * chooses these.
 */
#ifndef BEDE_STEERING_H
#define BEDE_STEERING_H

#include "control.h"
#include "mover.h"
#include "switcher.h"

struct bede_holder;

struct bede_steering {
	struct bede_switcher switcher;
	int pids;		     /* open pids.current */
	int meminfo[BEDE_MAX_NODES]; /* open meminfo of each local node, else -1 */
	uint64_t available; /* bytes that can be allocated on the local nodes, at the last look ... */
	uint64_t reserve;   /* ... and how many of them are left to other programs */
	bool is_away;	    /* the tasks are away, or are being sent away */
	bool switching;	    /* the tasks are being sent, and not all have changed yet */
	uint64_t waits_us;  /* since when the tasks should be away, but are not all yet; or 0 */
	unsigned returns;   /* times that the tasks were sent home */
	uint64_t calm_us;   /* since when all of the container would fit into the bound, or 0 */
	uint64_t looks;	    /* how often the mover had read the VMAs by then ... */
	uint64_t promoted;  /* ... and how many bytes it had promoted */
};

/* Open the files about the tasks and the nodes. dir is the cgroup's directory. A missing file is no error. */
void bede_steering_open(struct bede_steering *steering, int dir, uint64_t local_mask);

/*
 * Begin to steer between two lists for cpuset.mems, home and away, which are copied. wake stays the
 * caller's. *steered is set to whether cpuset.mems has one of the lists now. Returns 0 or a negative errno;
 * in both cases bede_steering_stop has to be called.
 */
int bede_steering_start(struct bede_steering *steering, int dir, int wake, const char *home, const char *away,
			bool *steered);

/*
 * Send the tasks away or home if that is due. room is what is left of the bound, in bytes. Sets ask->look
 * if the mover has to look for program-bound memory first, and holder->steered to false if steering has
 * ended. True if the tasks were sent.
 */
bool bede_steering_turn(struct bede_steering *steering, struct bede_holder *holder, uint64_t room,
			const struct bede_moved *moved, struct bede_ask *ask);

/* Update available and reserve: at home tasks can allocate nowhere else than on local nodes. */
void bede_steering_look_around(struct bede_steering *steering, struct bede_holder *holder);

/*
 * Whether a fence would hinder sending the tasks away. To send a task away, the kernel waits for the lock
 * of the task's address space. A task that meets the fence for a huge page sleeps with this lock held, and
 * a task that populates much memory at once holds it all that time. For page cache, tasks at the fence
 * would drop other page cache.
 */
bool bede_steering_is_hindered(const struct bede_steering *steering, const struct bede_control *control);

/* End steering; with away, leave the tasks away. Returns 0, or -ETIMEDOUT as bede_switcher_stop does. */
int bede_steering_stop(struct bede_steering *steering, bool away);

void bede_steering_close(struct bede_steering *steering);

#endif
