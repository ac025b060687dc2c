/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Holding without a lower tier: steering and moving.
 *
 * The container's tasks allocate by a policy that follows cpuset.mems (policy.h): on local nodes while the
 * file has only these ("home"), on far nodes while it has both ("away"). Near the bound the holder sends
 * the tasks away. From then on a mover keeps local usage at the bound. A container whose tasks have no such
 * policy meets the fence, memory.high, and waits there for the mover.
 */
#define _GNU_SOURCE
#include "holding.h"

#include <errno.h>
#include <stdlib.h>

#include "mover.h"
#include "steering.h"
#include "units.h"

#define RETRY_US 50000 /* until a mover that has moved nothing gets a task again */
#define SWITCHED_US \
	5000000 /* no exchange so soon after home/away has changed: which pages are hot changes, too */
#define MIB (1024 * 1024ULL)

/* The state of this backend: steering, and a mover. */
struct migrate {
	struct bede_mover mover;
	struct bede_moved moved; /* the mover's counts, as last read */
	struct bede_steering steering;
	bool lowered;	      /* the bound was lowered, and demotion for that has not begun */
	uint64_t least;	      /* lowest local usage since the bound or home/away last changed */
	uint64_t asked_us;    /* when the mover last got a task ... */
	uint64_t asked_done;  /* ... and how many bytes it had moved in all until then */
	uint64_t switched_us; /* when home/away last changed */
	uint64_t pressed_us;  /* when the container last had a fence */
	uint64_t progress_us; /* when usage was last within the bound, or the mover made progress */
	uint64_t lifted_until_us;
};

/*
 * Bytes that may be promoted without passing a node's bound or filling the local nodes. *nodes is set to
 * the nodes to promote to: those without a bound of their own, or else the one with most room.
 */
static uint64_t room_above(struct bede_holder *holder, uint64_t *nodes)
{
	const struct bede_control *control = &holder->control;
	struct migrate *state = holder->state;
	struct bede_steering *steering = &state->steering;
	uint64_t most = 0, unbound = 0, best = 0;

	if (!holder->steered) /* if steered, bede_steering_turn has just done this */
		bede_steering_look_around(steering, holder);
	for (int node = 0; node < BEDE_MAX_NODES; node++) {
		uint64_t bound = control->node_bound[node], here = control->numa.lru[node];

		if (!(control->local_mask >> node & 1))
			continue;
		if (bound == UINT64_MAX) {
			unbound |= 1ULL << node;
		} else if (here + bound / 64 < bound && bound - bound / 64 - here > most) {
			most = bound - bound / 64 - here;
			best = 1ULL << node;
		}
	}
	*nodes = unbound ? unbound : best;
	uint64_t kept = 2 * steering->reserve;
	uint64_t left = steering->available > kept ? steering->available - kept : 0;

	return unbound ? left : minimum(left, most);
}

static void steer(struct bede_holder *holder, uint64_t room, struct bede_ask *ask)
{
	struct migrate *state = holder->state;

	if (!bede_steering_turn(&state->steering, holder, room, &state->moved, ask))
		return;
	state->switched_us = holder->control.at_us;
	state->least = UINT64_MAX;
	state->progress_us = holder->control.at_us;
}

/* Decide what the mover has to do. Program-bound memory is left alone. */
static void plan(struct bede_holder *holder, struct bede_ask *ask)
{
	const struct bede_control *control = &holder->control;
	const struct migrate *state = holder->state;
	uint64_t batch = minimum(control->cpus * 96 * PAGE, control->bound / 256);
	uint64_t end = control->bound - batch, local = control->local;
	uint64_t huge = (uint64_t)(3.0 * MIB * control->huge_share);
	uint64_t below = control->bound / 100 > huge ? control->bound / 100 : huge;
	uint64_t movable = local > state->moved.program_bound ? local - state->moved.program_bound : 0;

	ask->from = ask->to = control->local_mask;
	ask->bound = control->bound;
	ask->huge = bede_control_is_huge(control);
	ask->fresh = state->lowered;
	if (!holder->steered) {
		int node;

		ask->demote = minimum(bede_control_excess(control, &node), movable);
		if (node >= 0 && control->node_bound[node] < control->numa.lru[node])
			ask->from = 1ULL << node;
	} else if (local > end) {
		ask->demote = minimum(local - end + batch / 2, movable);
	}
	for (int node = 0; node < BEDE_MAX_NODES && !ask->demote; node++) {
		uint64_t bound = control->node_bound[node], here = control->numa.lru[node];

		if (bound == UINT64_MAX || here <= bound - minimum(bound, batch))
			continue;
		ask->demote = here - (bound - minimum(bound, batch));
		ask->from = 1ULL << node;
	}
	/* Without the policy demotion starts earlier: promote less, or the pages would go back at once. */
	if (!holder->steered)
		end -= control->file_share > 0.05 ? control->bound / 6 : control->bound / 20;
	/* Do not promote little at a time: each call of move_pages makes all CPUs drain their lists. */
	if (ask->demote || local + below + batch > end || !control->far)
		return;
	uint64_t room = room_above(holder, &ask->to);

	ask->promote = minimum(minimum(end - below / 2 - local, control->far), room);
	if (ask->promote < batch)
		ask->promote = 0;
}

static void ask_mover(struct bede_holder *holder, struct bede_ask *ask)
{
	struct migrate *state = holder->state;
	uint64_t at_us = holder->control.at_us, done = state->moved.demoted + state->moved.promoted;

	if (!ask->demote)
		state->lowered = false;
	/* No exchange at home, where no far node is allowed, or unsteered, where only the bound moves pages. */
	if (holder->steered && state->steering.is_away && !state->steering.switching && !ask->demote &&
	    !ask->promote && holder->control.far && !holder->idle.still &&
	    at_us > state->switched_us + SWITCHED_US && at_us > state->moved.due_us) {
		ask->exchange = holder->control.bound / 4;
		ask->to = holder->control.local_mask;
	}
	/* The mover rests, because a whole round has just moved nothing. */
	if (at_us < state->moved.rests_us && !ask->fresh)
		ask->demote = ask->promote = 0;
	if (!ask->exchange && !ask->look && done == state->asked_done && at_us < state->asked_us + RETRY_US)
		return;
	if (!bede_mover_ask(&state->mover, ask))
		return;
	state->asked_us = at_us;
	state->asked_done = done;
	if (ask->demote)
		state->lowered = false;
}

/* Copy the mover's counts into the statistics, and note whether the mover made progress. */
static void read_mover_counts(struct bede_holder *holder)
{
	struct migrate *state = holder->state;
	struct bede_stats *stats = &holder->stats;
	uint64_t before = state->moved.demoted;

	bede_mover_moved(&state->mover, &state->moved);
	if (state->moved.demoted != before || state->moved.measuring)
		state->progress_us = holder->control.at_us;
	bede_mover_publish(&state->moved, stats);
	stats->demoted = state->moved.demoted;
	stats->tries = state->moved.tries;
	stats->away = state->steering.is_away;
}

/* Lift the fence for a while if local usage stays above the bound: it would only stop the tasks. */
static bool lift(struct bede_holder *holder, bool above)
{
	struct migrate *state = holder->state;
	uint64_t at_us = holder->control.at_us;

	if (!above)
		state->progress_us = at_us;
	if (state->lifted_until_us <= at_us && at_us - state->progress_us > STALL_US) {
		state->lifted_until_us = at_us + LIFT_US;
		state->progress_us = at_us;
		holder->stats.stalls++;
	}
	return state->lifted_until_us > at_us;
}

static int turn(struct bede_holder *holder, uint64_t *room)
{
	struct migrate *state = holder->state;
	const struct bede_steering *steering = &state->steering;
	const struct bede_control *control = &holder->control;
	struct bede_ask ask = { 0 };

	/* Pages charged but not yet on a list count as local in full: a task's reclaim cannot demote here. */
	holder->control.settled = 1;
	holder->control.open = holder->steered && !steering->is_away;
	uint64_t left = bede_control_room(control);

	read_mover_counts(holder);
	if (holder->steered)
		steer(holder, left, &ask);
	bool at_home = holder->steered && (!steering->is_away || (steering->switching && steering->waits_us));

	if (!at_home && !steering->switching)
		plan(holder, &ask);
	ask_mover(holder, &ask);
	state->least = minimum(state->least, control->local);
	/* Tasks whose local memory grows although they were sent away do not have the policy. */
	bool escapes = control->local > control->bound + control->bound / 50 &&
		       control->local > state->least + control->bound / 32;
	bool fenced = at_home ? !bede_steering_is_hindered(steering, control) : !holder->steered || escapes;
	bool stuck = lift(holder, !at_home && control->local > control->bound + control->bound / 100);

	holder->lifted = stuck;
	/* At home tasks can allocate on local nodes only, whose free memory other programs can take. */
	holder->busy =
		stuck || ask.demote || ask.promote || (steering->calm_us && !state->moved.program_bound) ||
		steering->switching ||
		(at_home && (left < control->bound / 4 || steering->available < 8 * steering->reserve));
	/* Close swap at any distance from a fence: a burst may reach it before the next turn and swap. */
	if (fenced && !stuck)
		state->pressed_us = control->at_us;
	/* A task that has met the fence may go on reclaiming for a while after it has been lifted. */
	bool pressed = state->pressed_us && control->at_us - state->pressed_us < CALM_US;

	holder->busy = holder->busy || (pressed && !fenced);
	bool ours = holder->shortage.level < BEDE_GONE;

	bede_swapguard_update(&holder->swap, pressed && ours && holder->ceilings_room);
	*room = fenced ? left : control->bound / 4;
	return bede_holder_fence(holder, fenced && !stuck ? bede_holder_end(holder, left) : BEDE_NO_LIMIT);
}

static int destroy(struct bede_holder *holder)
{
	struct migrate *state = holder->state;

	int err = bede_mover_stop(&state->mover);
	/* End away: without an agent, tasks at home would stop at the fence, or at a full node. */
	int err_too = bede_steering_stop(&state->steering, holder->steered);

	err = err ? err : err_too;
	if (!err && holder->steered) {
		err = bede_holder_fence(holder, BEDE_NO_LIMIT);
		if (!err)
			bede_swapguard_update(&holder->swap, false);
	}
	if (err == -ETIMEDOUT)
		return err;
	bede_steering_close(&state->steering);
	free(state);
	return err;
}

static int create(struct bede_holder *holder, const struct bede_params *params)
{
	struct migrate *state = calloc(1, sizeof(*state));

	if (!state)
		return -ENOMEM;
	holder->state = state;
	state->least = UINT64_MAX;
	state->progress_us = now_us();
	bede_steering_open(&state->steering, holder->file.dir, holder->control.local_mask);
	int err = 0;

	if (params->steered)
		err = bede_steering_start(&state->steering, holder->file.dir, holder->wake, params->home,
					  params->away, &holder->steered);
	err = err ? err :
		    bede_mover_start(&state->mover, holder->file.dir, holder->lru_path, holder->wake,
				     holder->control.local_mask, holder->control.far_mask, params->move_rate,
				     NULL);
	if (err) {
		holder->steered = false;
		if (destroy(holder) == -ETIMEDOUT)
			err = -ETIMEDOUT;
	}
	return err;
}

static void set(struct bede_holder *holder, uint64_t before)
{
	struct migrate *state = holder->state;

	state->lowered = holder->control.bound < before;
	state->least = UINT64_MAX;
}

const struct bede_backend_ops bede_migrate = {
	.name = "migrate", .create = create, .turn = turn, .set = set, .destroy = destroy
};
