/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Steering: where a container's tasks allocate, by a policy that cpuset.mems refolds. "Home" are the
 * local nodes alone, "away" is with far ones, to which the policy then leads.
 */
#ifndef BEDE_STEERING_H
#define BEDE_STEERING_H

#include "control.h"
#include "mover.h"
#include "switcher.h"

struct bede_holder;

struct bede_steering {
	struct bede_switcher switcher;
	int pids;		     /* pids.current */
	int meminfo[BEDE_MAX_NODES]; /* of the local nodes, else -1 */
	uint64_t available;	     /* bytes on the local nodes, when last looked at ... */
	uint64_t reserve;	     /* ... and what of that is left to others */
	bool is_away;		     /* the tasks are, or are being sent there */
	bool switching;		     /* not all of them are where they are to be */
	uint64_t waits_us;	     /* since when they should have been sent away, but were not, or 0 */
	unsigned returns;	     /* times that all have come home */
	uint64_t calm_us;	     /* since when all of it would fit into the bound, or 0 */
	uint64_t looks;		     /* that the mover had made then ... */
	uint64_t promoted;	     /* ... and bytes it had brought home */
};

/* Open what tells of tasks and nodes: dir is the cgroup's. What cannot be opened is done without. */
void bede_steering_open(struct bede_steering *steering, int dir, uint64_t local_mask);

/*
 * Begin to steer, between the lists home and away, which are copied; wake stays the caller's. steered
 * is whether one of them is there. Returns 0 or a negative errno; after either bede_steering_stop is due.
 */
int bede_steering_start(struct bede_steering *steering, int dir, int wake, const char *home, const char *away,
			bool *steered);

/*
 * Send the tasks away or home where that is due: room is what is left of the bound. Adds to ask what the
 * mover has to look at first. holder->steered is false where it is at an end. Returns whether they were sent.
 */
bool bede_steering_turn(struct bede_steering *steering, struct bede_holder *holder, uint64_t room,
			const struct bede_moved *moved, struct bede_ask *ask);

/* See what there is on the local nodes, and what must be left: at home tasks can allocate nowhere else. */
void bede_steering_look_around(struct bede_steering *steering, struct bede_holder *holder);

/*
 * Whether a fence would only be in the way of who is to be sent away: a task that meets it for a huge page
 * sleeps with its address space locked, and to send it away waits for that lock; for page cache others
 * would be dropped; and whoever populates much at once has the lock all that time.
 */
bool bede_steering_is_hindered(const struct bede_steering *steering, const struct bede_control *control);

/* End, with the tasks away at last if that is wanted. Returns 0, or -ETIMEDOUT as bede_switcher_stop. */
int bede_steering_stop(struct bede_steering *steering, bool away);

void bede_steering_close(struct bede_steering *steering);

#endif
