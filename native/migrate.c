/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Holding without a lower tier: steering and moving.
 *
 * The container's tasks allocate by a policy that cpuset.mems refolds: on local nodes while it has
 * no others ("home"), on far ones once it has both ("away"). Near the bound the holder sends them
 * away, and from then on a mover keeps the local usage at the bound. A container whose tasks have
 * no such policy meets the fence, memory.high, and waits there for the mover.
 */
#define _GNU_SOURCE
#include "holding.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "units.h"

#define AHEAD_S 0.008	 /* of growth: what may come before the way has changed */
#define OPEN_US 500000	 /* so long the fence holds back who is not yet sent away */
#define SOME_HUGE 0.2	 /* of the growth; a program's start alone is some per cent */
#define SOME_FILE 0.3
#define MOST_RETURNS 15U
#define SOME_TASKS 4	 /* where nobody counts them */
#define RETRY_US 50000	 /* for a mover that could move nothing */
#define EXCHANGE_US 5000000
#define MIB (1024 * 1024ULL)

/* Bytes that can be had on the local nodes; page cache can be dropped. Unknown is plenty. */
static uint64_t available(struct bede_holder *holder, uint64_t *total)
{
	static const struct {
		const char *name;
		bool is_total;
	} lines[] = { { " MemTotal:", true }, { " MemFree:", false }, { " Active(file):", false },
		      { " Inactive(file):", false } };
	uint64_t sum = 0;

	*total = 0;
	for (int node = 0; node < BEDE_MAX_NODES; node++) {
		if (holder->migrate.meminfo[node] < 0)
			continue;
		if (bede_read(holder->migrate.meminfo[node], &holder->buffer))
			return UINT64_MAX;
		for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++) {
			const char *at = strstr(holder->buffer.text, lines[i].name);

			if (at)
				*(lines[i].is_total ? total : &sum) +=
					strtoull(at + strlen(lines[i].name), NULL, 10) * 1024;
		}
	}
	return *total ? sum : UINT64_MAX;
}

/* See what there is on the local nodes, and what must be left: at home tasks can allocate nowhere else. */
static void look_around(struct bede_holder *holder)
{
	struct bede_migrate_state *state = &holder->migrate;
	uint64_t total, growth = (uint64_t)(holder->control.rate * 0.2);

	state->available = available(holder, &total);
	state->reserve = total / 32 + minimum(growth, total / 8);
}

/*
 * Tasks are sent away one after the other, and the kernel waits for each that is just having a huge page
 * filled. Where there are more of them than CPUs that takes long, and meanwhile all others get huge pages.
 */
static uint64_t margin(const struct bede_holder *holder)
{
	const struct bede_control *control = &holder->control;
	double bound = (double)control->bound, want = control->rate * AHEAD_S;
	double least = bound * (0.005 + 0.01 * control->file_share), most = bound * 0.03;
	uint64_t tasks = SOME_TASKS;

	if (control->huge_share > 0.01 && holder->migrate.pids >= 0)
		(void)bede_read_u64(holder->migrate.pids, &tasks);
	double huge = (double)minimum(tasks * 24 * MIB, control->bound / 4) * control->huge_share;

	return (uint64_t)((want < least ? least : want > most ? most : want) + huge);
}

static bool should_leave(const struct bede_holder *holder, uint64_t room)
{
	const struct bede_control *control = &holder->control;

	/* memory.events also tells of a memory.high that is the user's own. */
	return room <= margin(holder) || (holder->fenced && room < control->bound / 8) ||
	       holder->migrate.available < holder->migrate.reserve;
}

/*
 * All of it has fitted into the bound for long, longer each time; the mover has brought home what it
 * could, and nothing is where a program wants it: the kernel brings home whatever is elsewhere.
 */
static bool may_return(struct bede_holder *holder, struct bede_ask *ask)
{
	struct bede_migrate_state *state = &holder->migrate;
	const struct bede_control *control = &holder->control;

	if (control->current > control->bound - control->bound / 4 ||
	    state->available < control->far + 4 * state->reserve) {
		state->calm_us = 0;
		return false;
	}
	if (!state->calm_us || state->moved.promoted != state->promoted) {
		state->calm_us = control->at_us;
		state->looks = state->moved.looks;
		state->promoted = state->moved.promoted;
	}
	if (control->at_us - state->calm_us < CALM_US * (1 + minimum(state->returns, MOST_RETURNS)))
		return false;
	if (state->moved.looks == state->looks) {
		ask->look = true;
		return false;
	}
	if (!state->moved.own)
		return true;
	state->calm_us = control->at_us;
	state->looks = state->moved.looks;
	return false;
}

/* Send the tasks away, or home. The switcher may be at work still: then it is wanted again in the next turn. */
static void go(struct bede_holder *holder, bool away)
{
	struct bede_migrate_state *state = &holder->migrate;

	if (state->switching || !bede_switcher_go(&state->switcher, away))
		return;
	state->switching = true;
	state->is_away = away;
	state->returns += !away;
	state->exchanged_us = holder->control.at_us; /* what is hot cannot be told yet */
	state->least = UINT64_MAX;
	state->calm_us = 0;
	state->progress_us = holder->control.at_us;
}

static void steer(struct bede_holder *holder, uint64_t room, struct bede_ask *ask)
{
	struct bede_migrate_state *state = &holder->migrate;
	uint64_t at_us = holder->control.at_us;
	int err = 0;

	if (state->switching && bede_switcher_done(&state->switcher, &err)) {
		state->switching = false;
		state->waits_us = 0;
	}
	if (err || !state->steered) {
		state->steered = false;
		return;
	}
	/* systemd may have opened it, when it made another unit in that slice. */
	if (!state->is_away && !state->switching && bede_switcher_look(&state->switcher) == 1) {
		state->is_away = true;
		state->calm_us = 0;
	}
	look_around(holder);
	if (!state->is_away && should_leave(holder, room)) {
		go(holder, true);
		state->waits_us = state->waits_us ? state->waits_us : at_us;
	} else if (state->is_away && !state->switching && may_return(holder, ask)) {
		go(holder, false);
	}
}

/*
 * Whether a fence would only be in the way of who is to be sent away: a task that meets it for a huge page
 * sleeps with its address space locked, and to send it away waits for that lock; for page cache others
 * would be dropped; and whoever populates much at once has the lock all that time.
 */
static bool is_in_the_way(const struct bede_holder *holder)
{
	const struct bede_migrate_state *state = &holder->migrate;
	const struct bede_control *control = &holder->control;

	return state->waits_us && (control->huge_share > SOME_HUGE || control->file_share > SOME_FILE ||
				   control->at_us - state->waits_us > OPEN_US);
}

/*
 * What may be promoted without passing the bound of a node or emptying the local nodes, and to which:
 * to those without a bound of their own, or to the one that has most room.
 */
static uint64_t room_above(struct bede_holder *holder, uint64_t *nodes)
{
	const struct bede_control *control = &holder->control;
	const struct bede_migrate_state *state = &holder->migrate;
	uint64_t most = 0, unbound = 0, best = 0;

	if (!state->steered) /* else this turn has looked already */
		look_around(holder);
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
	uint64_t left = state->available > 2 * state->reserve ? state->available - 2 * state->reserve : 0;

	return unbound ? left : minimum(left, most);
}

/* What the mover is to do; what programs have placed themselves is left alone. */
static void plan(struct bede_holder *holder, struct bede_ask *ask)
{
	const struct bede_control *control = &holder->control;
	const struct bede_migrate_state *state = &holder->migrate;
	uint64_t batch = minimum(control->cpus * 96 * PAGE, control->bound / 256);
	uint64_t end = control->bound - batch, local = control->local;
	uint64_t huge = (uint64_t)(3.0 * MIB * control->huge_share);
	uint64_t below = control->bound / 100 > huge ? control->bound / 100 : huge;
	uint64_t movable = local > state->moved.own ? local - state->moved.own : 0;

	ask->from = ask->to = control->local_mask;
	ask->fresh = state->lowered;
	if (!state->steered) {
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
	/* Without the policy demotion starts earlier: not down to what would come back at once. */
	if (!state->steered)
		end -= control->file_share > 0.05 ? control->bound / 6 : control->bound / 20;
	/* Not in small change: each call costs all CPUs something. */
	if (ask->demote || local + below + batch > end || !control->far)
		return;
	uint64_t room = room_above(holder, &ask->to);

	ask->promote = minimum(minimum(end - below / 2 - local, control->far), room);
	if (ask->promote < batch)
		ask->promote = 0;
}

static void ask_mover(struct bede_holder *holder, struct bede_ask *ask)
{
	struct bede_migrate_state *state = &holder->migrate;
	uint64_t at_us = holder->control.at_us, done = state->moved.demoted + state->moved.promoted;

	if (!ask->demote)
		state->lowered = false;
	/* Without the policy only what is in the way is moved, and at home nothing can be. */
	if (state->steered && state->is_away && !state->switching && !ask->demote && !ask->promote &&
	    holder->control.far && at_us > state->exchanged_us + EXCHANGE_US && !holder->idle.still) {
		ask->exchange = holder->control.bound / 4;
		ask->to = holder->control.local_mask;
	}
	/* A whole round has just moved nothing. */
	if (at_us < state->moved.rests_us && !ask->fresh)
		ask->demote = ask->promote = 0;
	if (!ask->exchange && !ask->look && done == state->asked_done && at_us < state->asked_us + RETRY_US)
		return;
	if (!bede_mover_ask(&state->mover, ask))
		return;
	state->asked_us = at_us;
	state->asked_done = done;
	if (ask->exchange)
		state->exchanged_us = at_us;
	if (ask->demote)
		state->lowered = false;
}

static void see(struct bede_holder *holder)
{
	struct bede_migrate_state *state = &holder->migrate;
	struct bede_stats *stats = &holder->stats;
	uint64_t before = state->moved.demoted;

	bede_mover_moved(&state->mover, &state->moved);
	if (state->moved.demoted != before || state->moved.measuring)
		state->progress_us = holder->control.at_us;
	stats->demoted = state->moved.demoted;
	stats->promoted = state->moved.promoted;
	stats->tries = state->moved.tries;
	stats->own = state->moved.own;
	stats->mover_us = state->moved.used_us;
	stats->measured = state->moved.measured;
	stats->away = state->is_away;
}

/* Above the bound, for good as it seems: the fence would only strangle it. */
static bool lift(struct bede_holder *holder, bool above)
{
	struct bede_migrate_state *state = &holder->migrate;
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
	struct bede_migrate_state *state = &holder->migrate;
	const struct bede_control *control = &holder->control;
	struct bede_ask ask = { 0 };

	/* Every page that is charged but on no list yet will be local: there is no demotion that could help. */
	holder->control.settled = 1;
	holder->control.open = state->steered && !state->is_away;
	uint64_t left = bede_control_room(control);

	see(holder);
	if (state->steered)
		steer(holder, left, &ask);
	bool at_home = state->steered && (!state->is_away || (state->switching && state->waits_us));

	if (!at_home && !state->switching)
		plan(holder, &ask);
	ask_mover(holder, &ask);
	state->least = minimum(state->least, control->local);
	/* What grows although it was sent away was not born with the policy. */
	bool escapes = control->local > control->bound + control->bound / 50 &&
		       control->local > state->least + control->bound / 32;
	bool fenced = at_home ? !is_in_the_way(holder) : !state->steered || escapes;
	bool stuck = lift(holder, !at_home && control->local > control->bound + control->bound / 100);

	holder->lifted = stuck;
	/* At home, where the local nodes are all there is, others can take what is left of them. */
	holder->busy = stuck || ask.demote || ask.promote || (state->calm_us && !state->moved.own) ||
		       state->switching ||
		       (at_home && (left < control->bound / 4 || state->available < 8 * state->reserve));
	/* Not only near it: a burst, or whoever goes on after the agent's death, is there at once, and would swap. */
	if (fenced && !stuck)
		state->pressed_us = control->at_us;
	/* Whoever has met the fence may go on reclaiming for a while after it has been lifted. */
	bool pressed = state->pressed_us && control->at_us - state->pressed_us < CALM_US;

	holder->busy = holder->busy || (pressed && !fenced);
	bool ours = holder->shortage.level < BEDE_GONE;

	bede_swapguard_update(&holder->swap, pressed && ours && holder->ceilings_room);
	*room = fenced ? left : control->bound / 4;
	return bede_holder_fence(holder, fenced && !stuck ? control->current + left : BEDE_NO_LIMIT);
}

static void open_files(struct bede_holder *holder)
{
	struct bede_migrate_state *state = &holder->migrate;
	char path[64];

	state->pids = openat(holder->file.dir, "pids.current", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	for (int node = 0; node < BEDE_MAX_NODES; node++) {
		if (!(holder->control.local_mask >> node & 1))
			continue;
		(void)snprintf(path, sizeof(path), "/sys/devices/system/node/node%d/meminfo", node);
		state->meminfo[node] = open(path, O_RDONLY | O_CLOEXEC);
	}
}

/* An agent before us may have left it in either way; what somebody else has written stays. */
static int start_steering(struct bede_holder *holder, const struct bede_params *params)
{
	struct bede_migrate_state *state = &holder->migrate;
	int fd = openat(holder->file.dir, "cpuset.mems", O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	int err = fd < 0 ? -errno : 0;

	err = err ? err : bede_switcher_start(&state->switcher, fd, holder->wake, params->home, params->away);
	if (err)
		return err;
	int there = bede_switcher_look(&state->switcher);

	state->is_away = there == 1;
	state->steered = there >= 0;
	return 0;
}

static int stop(struct bede_holder *holder)
{
	struct bede_migrate_state *state = &holder->migrate;

	int err = bede_mover_stop(&state->mover);
	/* Nobody would send it away any more, and at home it would stop at its fence, or at a full node. */
	int err_too = bede_switcher_stop(&state->switcher, state->steered);

	err = err ? err : err_too;
	if (!err && state->steered) {
		err = bede_holder_fence(holder, BEDE_NO_LIMIT);
		if (!err)
			bede_swapguard_update(&holder->swap, false);
	}
	if (err == -ETIMEDOUT)
		return err;
	bede_close(&state->pids);
	for (int node = 0; node < BEDE_MAX_NODES; node++)
		bede_close(&state->meminfo[node]);
	return err;
}

static int start(struct bede_holder *holder, const struct bede_params *params)
{
	struct bede_migrate_state *state = &holder->migrate;

	for (int node = 0; node < BEDE_MAX_NODES; node++)
		state->meminfo[node] = -1;
	state->least = UINT64_MAX;
	state->progress_us = now_us();
	open_files(holder);
	int err = params->steered ? start_steering(holder, params) : 0;

	err = err ? err : bede_mover_start(&state->mover, holder->file.dir, holder->lru_path, holder->wake,
					   holder->control.local_mask, holder->control.far_mask,
					   params->move_rate);
	if (err) {
		state->steered = false;
		(void)stop(holder);
	}
	return err;
}

static void set(struct bede_holder *holder, uint64_t before)
{
	holder->migrate.lowered = holder->control.bound < before;
	holder->migrate.least = UINT64_MAX;
}

const struct bede_way bede_migrate = { .start = start, .turn = turn, .set = set, .stop = stop };
