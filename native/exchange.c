/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "exchange.h"

#include <errno.h>
#include <stdlib.h>

#include "roomiest.h"
#include "scores.h"
#include "units.h"
#include "worth.h"

#define LONGEST_US 1000000 /* the longest exchange: until then what was measured has changed */
#define FILL_LOOKS 16	   /* lists of hot pages in which to look for one that fits into what is free */
#define REFUSED 3 /* tickets of which nothing is granted, for room that was made; more will not be either */
#define SETTLED_PARTS 200 /* less than one of so many parts of the bound is hardly anything */
/* One of so many parts of a CPU: for learning much, as little as is left, and hardly anything; and besides for looks. */
#define PACE_LEARNING 10
#define PACE_LEARNED 200
#define PACE_SETTLED 100
#define PACE_LOOKS 200
#define PACE_DOUBTS 3	       /* once, where what was learned may not hold any more */
#define MOST_PAUSE_US 60000000 /* a minute is long for pages that have become hot */

void bede_exchange_open(struct bede_exchange *exchange)
{
	bede_learn_open(&exchange->learn);
	bede_worth_open(exchange);
	exchange->pace = PACE_LEARNING;
}

int bede_exchange_measure(struct bede_exchange *exchange, const struct bede_exchange_ask *ask,
			  uint64_t *used_us)
{
	return bede_learn_measure(&exchange->learn, exchange->search, &ask->heat, used_us);
}

/*
 * Move the first count pages to a node, note which were moved and which cannot be, and drop them. Adds the bytes that were
 * moved to *moved. Returns 0, -ENOMEM if the node is full, or -EAGAIN if no page was moved, but others may be: pages that
 * processes elsewhere have mapped, too, cannot be moved, nor those of a process that has ended.
 */
static int move(struct bede_exchange *exchange, struct bede_pages *pages, size_t count, int node,
		uint64_t *moved)
{
	bool hot = pages == exchange->hot;
	struct bede_recent *there = hot ? &exchange->promoted : &exchange->demoted;
	const struct bede_recent *back = hot ? &exchange->demoted : &exchange->promoted;
	int err = bede_pages_move(pages, count, node, moved);
	uint64_t at_us = now_us();

	for (size_t i = 0; i < count; i++) {
		if (pages->node[i] != node) {
			if (err != -ENOMEM)
				bede_recent_note(&exchange->stuck, pages->key[i], at_us);
			continue;
		}
		if (bede_recent_has(back, pages->key[i], at_us))
			exchange->bytes_vain += pages->size[i];
		bede_recent_note(there, pages->key[i], at_us);
	}
	bede_pages_drop(pages, 0, count);
	return err && err != -ENOMEM ? -EAGAIN : err;
}

/* Drop the hot pages before the first one that so many bytes have room for. False if there is none in the list. */
static bool drop_larger(struct bede_pages *hot, uint64_t bytes)
{
	size_t larger = 0;

	while (larger < hot->count && hot->size[larger] > bytes)
		larger++;
	if (larger == hot->count)
		return false;
	bede_pages_drop(hot, 0, larger);
	return true;
}

/*
 * Promote at most so many bytes of the hot pages, of which demoted bytes were made room for, or those that fit if there is leave for
 * less. Returns as move does, -ENOSPC if there is no leave at all, or -EBUSY if there is none for any page of the list.
 */
static int promote(struct bede_exchange *exchange, uint64_t bytes, uint64_t demoted, int node,
		   uint64_t *promoted)
{
	struct bede_pages *hot = exchange->hot;
	uint64_t granted = exchange->ticket ? bede_ticket_take(exchange->ticket, bytes, demoted) : bytes;
	int err = granted ? -EBUSY : -ENOSPC;

	if (drop_larger(hot, granted))
		err = move(exchange, hot, bede_pages_within(hot, granted), node, promoted);
	if (exchange->ticket && granted)
		bede_ticket_give_back(exchange->ticket);
	exchange->bytes_promoted += *promoted;
	return err;
}

/*
 * Drop the pages that could not be moved just now, and of the hot ones those that were demoted just now and are not hot
 * enough to come back for any page.
 */
static void drop_useless(struct bede_exchange *exchange, struct bede_pages *pages)
{
	uint64_t at_us = now_us();

	for (size_t i = pages->count; i-- > 0;) {
		bool waits = pages == exchange->hot && pages->heat[i] < bede_worth_margin(exchange) * 2 &&
			     bede_recent_has(&exchange->demoted, pages->key[i], at_us);

		if (waits || bede_recent_has(&exchange->stuck, pages->key[i], at_us))
			bede_pages_drop(pages, i, 1);
	}
}

/* complete: nothing kept the exchange from doing all that was worth it. */
static void note_done(struct bede_exchange *exchange, uint64_t bound, bool complete)
{
	bede_worth_adjust(exchange);
	/* If hardly anything is worth an exchange, the right pages are local. */
	exchange->learn.settled = complete && exchange->learn.learned >= BEDE_SCORES_LEAST &&
				  exchange->bytes_promoted * SETTLED_PARTS < bound;
	/* The less was left to exchange, the longer the next one can wait. */
	uint64_t parts = bound / (exchange->bytes_promoted + 1);

	exchange->pace = PACE_LEARNING;
	if (complete && exchange->learn.learned >= BEDE_SCORES_LEAST && exchange->learn.fits &&
	    parts > PACE_LEARNING)
		exchange->pace = minimum(parts, exchange->learn.settled ? PACE_SETTLED : PACE_LEARNED);
}

/* Collect hot far pages, unless some are left. False if there are no more. */
static bool have_hot(struct bede_exchange *exchange, const struct bede_exchange_ask *ask, uint64_t until)
{
	while (!exchange->hot->count) {
		if (bede_search_collect(exchange->search, exchange->hot, true, ask->far_mask,
					bede_worth_least(exchange), ask->ticket, until) <= 0)
			return false;
		drop_useless(exchange, exchange->hot);
	}
	return true;
}

/* Collect cold pages of that node for so many bytes, unless some are left. False if there are no more. */
static bool have_cold(struct bede_exchange *exchange, uint64_t bytes, int node, uint64_t until)
{
	unsigned limit = BEDE_HEAT_ALWAYS - bede_worth_margin(exchange);

	while (!exchange->cold->count) {
		if (bede_search_collect(exchange->search, exchange->cold, false, 1ULL << node, limit, bytes,
					until) <= 0)
			return false;
		drop_useless(exchange, exchange->cold);
	}
	return true;
}

/*
 * Demote cold pages in whose place the first hot ones are worth being promoted, of which most bytes may be. There is room for some
 * of them already. Returns as move does, also 0 if nothing was demoted but there is more to try, or -ENOENT if nothing is worth it.
 */
static int make_room(struct bede_exchange *exchange, uint64_t most, uint64_t room, int far, uint64_t *demoted)
{
	struct bede_pages *hot = exchange->hot, *cold = exchange->cold;
	size_t refused = 0, count = bede_worth_count(exchange, most, room, &refused);

	if (count) {
		int err = move(exchange, cold, count, far, demoted);

		exchange->bytes_demoted += *demoted;
		return err;
	}
	if (!bede_worth_first(exchange))
		return -ENOENT;
	/* The hot page, or the cold one, was moved just now; or the hot one is huge, and not worth so many cold ones. */
	bool waits = refused < cold->count &&
		     bede_recent_has(&exchange->promoted, cold->key[refused], now_us()) &&
		     !bede_recent_has(&exchange->demoted, hot->key[0], now_us());

	bede_pages_drop(waits ? cold : hot, waits ? refused : 0, 1);
	return 0;
}

/* The bytes to promote together: those of a ticket, or of the hottest page if that is larger. */
static uint64_t at_once(const struct bede_exchange *exchange, const struct bede_exchange_ask *ask)
{
	return ask->ticket > exchange->hot->size[0] ? ask->ticket : exchange->hot->size[0];
}

/*
 * Promote the hottest pages that fit into room that the fence leaves, and nobody uses. *left: how many bytes may be promoted. Returns
 * as move does, or 0.
 */
static int fill(struct bede_exchange *exchange, const struct bede_exchange_ask *ask, int local,
		uint64_t *left, uint64_t until)
{
	struct bede_pages *hot = exchange->hot;
	unsigned looks = 0;
	int err = 0;

	if (!exchange->ticket || !exchange->learn.ready)
		return 0;
	while ((!err || err == -EAGAIN || err == -EBUSY) && looks < FILL_LOOKS && now_us() < until &&
	       have_hot(exchange, ask, until)) {
		uint64_t promoted = 0;

		err = promote(exchange, minimum(*left, at_once(exchange, ask)), 0, local, &promoted);
		ask->paid(ask->context, 0, promoted);
		*left -= minimum(promoted, *left);
		if (err == -EBUSY) {
			bede_pages_clear(hot);
			looks++;
		}
	}
	/* Those that did not fit may be exchanged. */
	if (looks) {
		bede_pages_clear(hot);
		bede_search_rewind(exchange->search);
	}
	return err == -ENOSPC || err == -EBUSY ? 0 : err;
}

static void begin(struct bede_exchange *exchange)
{
	exchange->bytes_demoted = exchange->bytes_promoted = exchange->bytes_vain = 0;
	bede_pages_clear(exchange->hot);
	bede_pages_clear(exchange->cold);
	bede_search_rewind(exchange->search);
}

void bede_exchange_fill(struct bede_exchange *exchange, const struct bede_exchange_ask *ask)
{
	uint64_t left = ask->most;

	begin(exchange);
	(void)fill(exchange, ask, bede_roomiest(ask->local_mask), &left, now_us() + LONGEST_US);
}

void bede_exchange_run(struct bede_exchange *exchange, const struct bede_exchange_ask *ask)
{
	struct bede_pages *hot = exchange->hot;
	int far = bede_roomiest(ask->far_mask), local = bede_roomiest(ask->local_mask);
	uint64_t left = ask->most, until = now_us() + LONGEST_US, room = 0;
	bool all = false; /* all has been demoted that is worth it */
	unsigned refused = 0;

	if (exchange->learn.looked) {
		bede_exchange_fill(exchange, ask);
		return;
	}
	begin(exchange);
	int err = fill(exchange, ask, local, &left, until);

	while ((!err || err == -EAGAIN) && exchange->learn.ready && now_us() < until &&
	       have_hot(exchange, ask, until)) {
		uint64_t part = at_once(exchange, ask);
		uint64_t most = minimum(left, part), demoted = 0, promoted = 0;

		if (most < hot->size[0])
			break;
		if (room < hot->size[0]) {
			if (!all) {
				all = !have_cold(exchange, part - room, local, until);
				err = all ? 0 : make_room(exchange, most, room, far, &demoted);
				ask->paid(ask->context, demoted, 0);
				room += demoted;
				all = all || err == -ENOENT;
				err = err == -ENOENT ? 0 : err;
				continue;
			}
			if (!room)
				break;
			/* What is free besides may be enough for the rest of a huge page. If not, what was demoted does for others. */
			exchange->lacked_us = now_us();
		}
		err = promote(exchange, exchange->ticket ? most : minimum(most, room), room, local,
			      &promoted);
		ask->paid(ask->context, 0, promoted);
		left -= minimum(promoted, left);
		room -= minimum(promoted, room);
		if (err == -EBUSY && all) {
			err = 0;
			break;
		}
		if ((err == -EBUSY || err == -ENOSPC) && refused++ < REFUSED)
			err = 0;
	}
	note_done(exchange, ask->heat.bound,
		  exchange->learn.ready && (!err || err == -EAGAIN) && now_us() < until);
}

/*
 * What is measured to learn from costs the more the longer it has to last until there is leave for the next time. So there are looks
 * meanwhile, at a price of their own: a change must not wait for that.
 */
uint64_t bede_exchange_pause(struct bede_exchange *exchange, uint64_t used_us)
{
	struct bede_learn *learn = &exchange->learn;
	uint64_t now = now_us(), look_us = used_us, least = used_us * PACE_LEARNING;

	if (!learn->looked) {
		exchange->due_us = now + minimum(used_us * exchange->pace, MOST_PAUSE_US);
		look_us = learn->windows ? used_us * BEDE_LOOK_WINDOWS / learn->windows : used_us;
	}
	uint64_t left = exchange->due_us > now ? exchange->due_us - now : 0;
	uint64_t look = look_us * PACE_LOOKS > least ? look_us * PACE_LOOKS : least;

	/* Samples take longer than a look. */
	learn->looks = !learn->doubts && !learn->sampled && exchange->pace > PACE_LEARNING && look < left / 2;
	if (learn->doubts)
		return used_us * PACE_DOUBTS;
	return learn->looks ? look : left > least ? left : least;
}

void bede_exchange_wait(struct bede_exchange *exchange, uint64_t more_us)
{
	exchange->due_us += more_us;
}

void bede_exchange_close(struct bede_exchange *exchange)
{
	bede_recent_free(&exchange->demoted);
	bede_recent_free(&exchange->promoted);
	bede_recent_free(&exchange->stuck);
}
