/* SPDX-License-Identifier: Apache-2.0 */
#include "holding.h"

#include <errno.h>
#include <stdlib.h>

#include "demoter.h"
#include "mover.h"
#include "units.h"

#define RESERVE 6	 /* one of so many parts of the bound must be old enough to be demoted at once */
#define LEAD_S 0.1	 /* seconds of growth by which a lifted fence is above the usage */
#define FAR_PARTS 64	 /* less far memory than one of so many parts of the bound is not worth an exchange */
#define CACHE_PARTS 16	 /* less page cache than one of so many parts of the bound is not much */
#define SPARE_PARTS 64	 /* less room than one of so many parts of the bound is not worth filling, ... */
#define SPARE_US 1000000 /* ... nor is room that is not there for so long */
#define FULL_US 10000000 /* until room that nothing was found for is tried again */
#define SURGE_PARTS 16	 /* growth of one of so many parts of the bound at once is a surge ... */
#define SURGE_US 2000000 /* ... which puts an exchange off for so long at most */
#define STALL_TRIES 20	 /* demotion commands without effect before the fence is lifted */

/* The state of this backend: the fence, demotion before tasks reach it, and promotion below it. */
struct tier {
	struct bede_demoter demoter;
	struct bede_mover mover; /* runs only if it promotes, or has to demote */
	struct bede_moved moved; /* the mover's counts, as last read */
	struct bede_ticket ticket;
	uint64_t progress_us;	 /* when demotion last made progress, or was not needed ... */
	uint64_t progress_tries; /* ... and how many commands the demoter had tried by then */
	uint64_t lifted_until_us;
	uint64_t pressed_us; /* when the usage was last near the bound */
	uint64_t spared_us;  /* since when there is free room; 0: there is none */
	uint64_t surged_us;  /* when the surge began that goes on; 0: none */
	uint64_t far;	     /* far and local usage at the last turn */
	uint64_t local;
	bool demotes;  /* there is an lru_gen, and a demoter */
	bool moves;    /* there is a mover */
	bool promotes; /* it promotes as well */
	bool prepared; /* the demoter has been told to age pages before the bound is reached */
};

static void note_progress(struct bede_holder *holder)
{
	struct tier *tier = holder->state;

	tier->progress_us = holder->control.at_us;
	tier->progress_tries = holder->stats.tries;
}

/* Half of the bound counts as near: a burst may reach the fence before the next turn, and would swap. */
static bool is_near(const struct bede_holder *holder, uint64_t room)
{
	return room < holder->control.bound / 2;
}

/*
 * Have the mover demote what is necessary: without debugfs there is no demoter. Unmapped page cache goes first, as long as there
 * is much of it: the mover cannot move it, and nobody could exchange it later for pages that are hotter.
 */
static void demote_by_mover(struct bede_holder *holder, uint64_t bytes, int node)
{
	const struct bede_control *control = &holder->control;
	struct tier *tier = holder->state;
	uint64_t from = control->node_bound[node] == UINT64_MAX ? control->local_mask : 1ULL << node;
	struct bede_ask ask = { .demote = bytes,
				.from = from,
				.bound = control->bound,
				.cache = bede_control_cache(control, from) > control->bound / CACHE_PARTS,
				.swap_closed = holder->swap.engaged,
				.huge = bede_control_is_huge(control) };

	if (bytes && control->at_us >= tier->moved.rests_us)
		(void)bede_mover_ask(&tier->mover, &ask);
}

/* How many pages are demoted together at least: a huge page moves as a whole. */
static uint64_t unit_of(const struct bede_control *control)
{
	return bede_control_is_huge(control) ? HUGE_PAGE / PAGE : 1;
}

/*
 * How many pages to demote for so many bytes: whole huge pages, where most memory is in these. Half a huge page too much is not worth
 * a whole one, unless a task would have to make room otherwise.
 */
static uint64_t pages_for(const struct bede_control *control, uint64_t bytes, uint64_t room)
{
	uint64_t unit = unit_of(control) * PAGE, spared = room ? unit / 2 : 0;

	return (bytes - minimum(bytes, spared) + unit - 1) / unit * unit / PAGE;
}

/* Have the demoter prepare shortly before demotion begins, and again whenever the usage has been much lower. */
static void prepare(struct bede_holder *holder, int node, uint64_t bytes, uint64_t room)
{
	struct tier *tier = holder->state;
	uint64_t bound = holder->control.bound;

	if (room > bound / 2) {
		tier->prepared = false;
	} else if (!bytes && !tier->prepared && room < bound / 3) {
		tier->prepared = true;
		bede_demoter_prepare(&tier->demoter, node, bound / RESERVE / PAGE);
	}
}

/* Have the demoter demote so many bytes. */
static void demote_by_kernel(struct bede_holder *holder, uint64_t bytes, int node, uint64_t room)
{
	struct tier *tier = holder->state;
	struct bede_control *control = &holder->control;
	uint64_t unit = unit_of(control), moving;
	uint64_t chunk = unit > 1 ? unit : minimum(control->bound / 128 / PAGE + 16, 512);

	prepare(holder, node, bytes, room);
	/* The second thread helps when half of the margin is used up. */
	bede_demoter_ask(&tier->demoter, node, pages_for(control, bytes, room), chunk,
			 bytes > room ? BEDE_DEMOTERS : 1);
	bede_demoter_count(&tier->demoter, &holder->stats.demoted, &holder->stats.tries, &moving);
	control->leaving = moving * PAGE;
	holder->stats.demoted = holder->stats.demoted * PAGE + tier->moved.demoted;
	if (room || !bytes)
		note_progress(holder);
}

/* Demote what is necessary. Returns how many bytes that is. */
static uint64_t demote(struct bede_holder *holder, uint64_t room)
{
	struct tier *tier = holder->state;
	int node;
	uint64_t bytes = bede_control_excess(&holder->control, &node);

	if (is_near(holder, room))
		tier->pressed_us = holder->control.at_us;
	if (room && !tier->demotes)
		note_progress(holder);
	if (node < 0 || !(tier->demotes || tier->moves))
		return 0;
	if (tier->demotes) {
		demote_by_kernel(holder, bytes, node, room);
	} else {
		demote_by_mover(holder, bytes, node);
		holder->stats.demoted = tier->moved.demoted;
	}
	return bytes;
}

/* Demotion was asked for, but makes no progress: far nodes are full, or the pages cannot be moved. */
static bool stalled(const struct bede_holder *holder)
{
	const struct tier *tier = holder->state;

	return holder->control.at_us - tier->progress_us > STALL_US &&
	       (!tier->demotes || holder->stats.tries - tier->progress_tries > STALL_TRIES);
}

/*
 * Where the bound would be passed. While the swap guard is engaged, no further than where another limit is near, so that the guard can
 * let the kernel swap before that limit is reached.
 */
static uint64_t fence(const struct bede_holder *holder, uint64_t room)
{
	return bede_holder_end(holder, holder->swap.engaged ? minimum(room, holder->ceilings_room) : room);
}

/*
 * Where a lifted fence is: just above what may be allocated before the next turns. If the agent dies, the
 * fence stays there, and a higher one would hold nothing.
 */
static uint64_t lifted_fence(const struct bede_holder *holder)
{
	const struct bede_control *control = &holder->control;

	return control->current + control->bound / 8 + (uint64_t)(control->rate * LEAD_S);
}

static void read_mover_counts(struct bede_holder *holder)
{
	struct tier *tier = holder->state;

	bede_mover_moved(&tier->mover, &tier->moved);
	bede_mover_publish(&tier->moved, &holder->stats);
	holder->stats.exchanged = tier->moved.demoted;
}

/* Memory comes fast: what the mover would take of a processor, the demoter needs to stay ahead of the fence. */
static bool surges(struct bede_holder *holder)
{
	struct tier *tier = holder->state;
	const struct bede_control *control = &holder->control;

	if (control->surge <= (double)control->bound / SURGE_PARTS)
		tier->surged_us = 0;
	else if (!tier->surged_us)
		tier->surged_us = control->at_us;
	return tier->surged_us && control->at_us - tier->surged_us < SURGE_US;
}

/* There is room that the container does not take itself. */
static bool has_spare(struct bede_holder *holder)
{
	struct tier *tier = holder->state;
	const struct bede_control *control = &holder->control;

	if (bede_control_spare(control) < control->bound / SPARE_PARTS)
		tier->spared_us = 0;
	else if (!tier->spared_us)
		tier->spared_us = control->at_us;
	if (!tier->spared_us || control->at_us - tier->spared_us < SPARE_US)
		return false;
	return tier->spared_us > tier->moved.full_us || control->at_us - tier->moved.full_us >= FULL_US;
}

/*
 * Have the mover measure heat and exchange pages when that is due, and fill free room meanwhile. A container that does nothing needs
 * none of it.
 */
static void promote(struct bede_holder *holder)
{
	struct tier *tier = holder->state;
	const struct bede_control *control = &holder->control;

	bool surge = surges(holder), spare = has_spare(holder), due = control->at_us >= tier->moved.due_us;
	bool fills = !due && spare && control->at_us >= tier->moved.fill_us;

	if (surge || control->far < control->bound / FAR_PARTS || !(due || fills) || holder->idle.still ||
	    holder->lifted)
		return;
	struct bede_ask ask = { .exchange = due ? control->bound : 0,
				.fill = fills ? control->bound : 0,
				.to = control->local_mask,
				.bound = control->bound,
				.huge = bede_control_is_huge(control) };

	(void)bede_mover_ask(&tier->mover, &ask);
}

static int turn(struct bede_holder *holder, uint64_t *room)
{
	struct tier *tier = holder->state;
	uint64_t at_us = holder->control.at_us;

	*room = bede_control_room(&holder->control);
	if (tier->moves)
		read_mover_counts(holder);
	if (tier->promotes)
		promote(holder);
	/* The time without progress begins at the first turn. */
	bool less = holder->control.local < tier->local && !tier->demotes;

	/* Reclaim that demotes page cache drops other page cache, so there may be no more far memory than before. */
	if (holder->control.far > tier->far || less || !tier->progress_us)
		note_progress(holder);
	tier->far = holder->control.far;
	tier->local = holder->control.local;
	uint64_t excess = demote(holder, *room);

	if (tier->lifted_until_us <= at_us && stalled(holder)) {
		tier->lifted_until_us = at_us + LIFT_US;
		holder->stats.stalls++;
		note_progress(holder);
	}
	bool lifted = tier->lifted_until_us > at_us;
	bool pressed = tier->pressed_us && at_us - tier->pressed_us < CALM_US;

	holder->lifted = lifted;
	holder->busy = lifted || excess || is_near(holder, *room) != pressed;
	/*
	 * Keep swap closed as long as the fence stands, however far away: a task that reaches the fence after
	 * this agent was killed would swap there. But away from the bound, open it earlier: when memory on
	 * the host is scarce, or if there is any other limit, at which a killed agent could not open it.
	 */
	bool ours = pressed ? holder->shortage.level < BEDE_GONE :
			      holder->shortage.level < BEDE_SCARCE && !holder->ceilings.any;

	bede_swapguard_update(&holder->swap, ours && !lifted && holder->ceilings_room);
	bool asked = false;

	if (tier->promotes)
		*room -= bede_ticket_reserved(&tier->ticket, *room, bede_control_spare(&holder->control),
					      &asked);
	uint64_t wanted = lifted ? lifted_fence(holder) : fence(holder, *room);
	int err = bede_holder_fence(holder, wanted);

	if (asked)
		bede_ticket_grant(&tier->ticket, !err && !lifted && holder->last_fence <= wanted);
	return err;
}

static int destroy(struct bede_holder *holder)
{
	struct tier *tier = holder->state;
	int err = 0;

	if (tier->moves) {
		bede_ticket_close(&tier->ticket);
		err = bede_mover_stop(&tier->mover);
	}
	if (tier->demotes)
		bede_demoter_stop(&tier->demoter);
	if (err != -ETIMEDOUT)
		free(tier);
	return err;
}

static int create(struct bede_holder *holder, const struct bede_params *params)
{
	struct tier *tier = calloc(1, sizeof(*tier));
	int err = 0;

	if (!tier)
		return -ENOMEM;
	holder->state = tier;
	if (params->lru_file)
		err = bede_demoter_start(&tier->demoter, holder->file.dir, params->lru_file, holder->lru_path,
					 holder->control.far_mask);
	tier->demotes = params->lru_file && !err;
	/* A rootless user's agent may move no pages. */
	if (!err && (params->promotes || (!tier->demotes && geteuid() == 0))) {
		bede_ticket_open(&tier->ticket, holder->wake);
		err = bede_mover_start(&tier->mover, holder->file.dir, holder->lru_path, holder->wake,
				       holder->control.local_mask, holder->control.far_mask,
				       params->move_rate, &tier->ticket);
		tier->moves = !err;
		tier->promotes = !err && params->promotes;
		holder->control.ticketed = tier->promotes && params->unbalanced;
	}
	if (err && destroy(holder) == -ETIMEDOUT)
		err = -ETIMEDOUT;
	return err;
}

const struct bede_backend_ops bede_tier = {
	.name = "tier", .create = create, .turn = turn, .destroy = destroy
};
