/* SPDX-License-Identifier: Apache-2.0 */
#include "holding.h"

#include <string.h>

#include "units.h"

#define RESERVE 6	/* this part of the bound shall be old enough to be demoted at once */
#define LEAD_S 0.1	/* seconds of growth that a lifted fence is ahead */
#define STALL_TRIES 20	/* commands without effect before the fence is lifted */

static void note_progress(struct bede_holder *holder)
{
	holder->tier.progress_us = holder->control.at_us;
	holder->tier.progress_tries = holder->stats.tries;
}

/* Far enough before the fence: a burst may be at it before the next turn, and would swap there. */
static bool is_near(const struct bede_holder *holder, uint64_t room)
{
	return room < holder->control.bound / 2;
}

/* Returns how much there is to demote, in bytes. */
static uint64_t demote(struct bede_holder *holder, uint64_t room)
{
	int node;
	uint64_t bytes = bede_control_excess(&holder->control, &node);
	uint64_t chunk = minimum(holder->control.bound / 128 / PAGE + 16, 512);

	if (is_near(holder, room))
		holder->tier.pressed_us = holder->control.at_us;
	if (room && !holder->tier.demotes)
		note_progress(holder);
	if (node < 0 || !holder->tier.demotes)
		return 0;
	/* Soon before the first time, and each time anew after the usage has been much lower. */
	if (room > holder->control.bound / 2)
		holder->tier.prepared = false;
	else if (!bytes && !holder->tier.prepared && room < holder->control.bound / 3) {
		holder->tier.prepared = true;
		bede_demoter_prepare(&holder->tier.demoter, node, holder->control.bound / RESERVE / PAGE);
	}
	/* The second thread helps when half of the margin is used up. */
	bede_demoter_ask(&holder->tier.demoter, node, (bytes + PAGE - 1) / PAGE, chunk,
			 bytes > room ? BEDE_DEMOTERS : 1);
	bede_demoter_count(&holder->tier.demoter, &holder->stats.demoted, &holder->stats.tries);
	holder->stats.demoted *= PAGE;
	if (room || !bytes)
		note_progress(holder);
	return bytes;
}

/* Nothing moves although all is asked for: far is full or the pages cannot move. */
static bool stalled(const struct bede_holder *holder)
{
	return holder->control.at_us - holder->tier.progress_us > STALL_US &&
	       (!holder->tier.demotes || holder->stats.tries - holder->tier.progress_tries > STALL_TRIES);
}

/*
 * The total at which the bound would be passed. Not beyond what the swap guard can watch: near
 * another limit the kernel must be able to swap again before that is reached.
 */
static uint64_t fence(const struct bede_holder *holder, uint64_t room)
{
	return holder->control.current + (holder->swap.engaged ? minimum(room, holder->ceilings_room) : room);
}

/*
 * Where it is lifted to: ahead of what may be allocated until the next turns, but not further. If
 * nobody were to follow it any more, it would stay there, and so hold nobody.
 */
static uint64_t lifted_fence(const struct bede_holder *holder)
{
	const struct bede_control *control = &holder->control;

	return control->current + control->bound / 8 + (uint64_t)(control->rate * LEAD_S);
}

static int turn(struct bede_holder *holder, uint64_t *room)
{
	uint64_t at_us = holder->control.at_us;

	*room = bede_control_room(&holder->control);
	/* What there was before the first turn is no time without progress. */
	if (holder->control.far > holder->tier.far || !holder->tier.progress_us)
		note_progress(holder);
	holder->tier.far = holder->control.far;
	uint64_t excess = demote(holder, *room);

	if (holder->tier.lifted_until_us <= at_us && stalled(holder)) {
		holder->tier.lifted_until_us = at_us + LIFT_US;
		holder->stats.stalls++;
		note_progress(holder);
	}
	bool lifted = holder->tier.lifted_until_us > at_us;
	bool pressed = holder->tier.pressed_us && at_us - holder->tier.pressed_us < CALM_US;

	holder->lifted = lifted;
	holder->busy = lifted || excess || is_near(holder, *room) != pressed;
	/*
	 * As long as the fence stands, however far away: who comes to it after this agent was killed
	 * would swap there. Away from it the whole host's need for swap comes first a good deal earlier,
	 * and so does any other limit, at which nobody could swap after this agent was killed.
	 */
	bool ours = pressed ? holder->shortage.level < BEDE_GONE :
			      holder->shortage.level < BEDE_SCARCE && !holder->ceilings.any;

	bede_swapguard_update(&holder->swap, ours && !lifted && holder->ceilings_room);
	return bede_holder_fence(holder, lifted ? lifted_fence(holder) : fence(holder, *room));
}

static int start(struct bede_holder *holder, const struct bede_params *params)
{
	if (!params->lru_file)
		return 0;
	int err = bede_demoter_start(&holder->tier.demoter, holder->file.dir, params->lru_file,
				     holder->lru_path, holder->control.far_mask);

	holder->tier.demotes = !err;
	return err;
}

static int stop(struct bede_holder *holder)
{
	if (holder->tier.demotes)
		bede_demoter_stop(&holder->tier.demoter);
	return 0;
}

const struct bede_backend_ops bede_tier = { .name = "tier", .start = start, .turn = turn, .stop = stop };
