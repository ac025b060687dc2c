/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "exchange.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "scores.h"
#include "units.h"

#define FIRST_WINDOW_US 5000
#define MOST_WINDOWS 10 /* of one measurement: one more tells little, and the list becomes old meanwhile */
#define LEAST_WINDOWS 2
#define MEASURE_US 2000000 /* the longest measurement */
#define LONGEST_US 1000000 /* the longest exchange: until then what was measured has changed */
/*
 * A score is an average of some twenty windows, so chance alone lets it differ by up to a tenth. A margin of three
 * tenths is beyond that; and a page that was in use in fewer windows was used once in a while, or by a scan.
 */
#define MARGIN 30
#define MOST_MARGIN 60
#define LEAST_SCORE 30
/*
 * Moving two pages takes 4.8 us, and one access to a far page instead of a local one 160 ns: thirty accesses have to
 * follow within the time for which one can foresee them.
 */
#define PAYS 30
#define FORESEEN_US 10000000
#define VAIN_PARTS 10 /* one of so many moved in vain is too much */
/* If less than one of so many parts of the bound was exchanged, the right pages are local. */
#define SETTLED_PARTS 50
#define PACE_LEARNING 10	       /* 10 % of a CPU until then, ... */
#define PACE_SETTLED 100	       /* ... and 1 % afterwards */
#define LEAST_PROCESS (1024 * 1024ULL) /* bytes; heat of smaller processes is not measured */

static uint64_t free_on(int node)
{
	char path[64], text[512];

	(void)snprintf(path, sizeof(path), "/sys/devices/system/node/node%d/meminfo", node);
	BEDE_FD fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	text[got > 0 ? got : 0] = '\0';
	const char *found = strstr(text, "MemFree:");

	return found ? strtoull(found + strlen("MemFree:"), NULL, 10) : 0;
}

int bede_roomiest(uint64_t mask)
{
	int best = __builtin_ctzll(mask);

	if (mask & (mask - 1)) {
		uint64_t most = 0;

		for (int node = 0; node < BEDE_MAX_NODES; node++) {
			uint64_t room = mask >> node & 1 ? free_on(node) : 0;

			if (room > most) {
				most = room;
				best = node;
			}
		}
	}
	return best;
}

void bede_exchange_open(struct bede_exchange *exchange)
{
	exchange->window_us = FIRST_WINDOW_US;
	exchange->margin = MARGIN;
	exchange->pace = PACE_LEARNING;
}

static int by_size(const void *left, const void *right)
{
	const struct bede_process *a = left, *b = right;

	return (a->bytes < b->bytes) - (a->bytes > b->bytes);
}

int bede_exchange_measure(struct bede_exchange *exchange, const struct bede_exchange_ask *ask,
			  uint64_t *used_us)
{
	struct bede_search *search = exchange->search;
	struct bede_vmas *vmas = &search->vmas;
	struct bede_heat heat = { 0 };
	/* As long as the length of the windows is not right, find that out at the least price. */
	uint64_t windows = exchange->fits ? MEASURE_US / exchange->window_us : LEAST_WINDOWS;
	struct bede_heat_ask measure = { .processes = vmas->processes,
					 .window_us = exchange->window_us,
					 .windows = windows > MOST_WINDOWS  ? MOST_WINDOWS :
						    windows < LEAST_WINDOWS ? LEAST_WINDOWS :
									      (unsigned)windows,
					 .huge = ask->huge,
					 .wanted = ask->wanted };

	qsort(vmas->processes, vmas->count, sizeof(*vmas->processes), by_size);
	while (measure.count < BEDE_HEAT_TARGETS && measure.count < vmas->count &&
	       vmas->processes[measure.count].bytes >= LEAST_PROCESS)
		measure.count++;
	int err = bede_heat_measure(&measure, &heat);

	*used_us = heat.used_us;
	if (!err) {
		exchange->window_us = bede_scores_window(&heat.ranges, exchange->window_us, ask->bound);
		/* Scores from windows of another length say something else. */
		exchange->ready = exchange->fits;
		exchange->learned = exchange->ready ? exchange->learned : 0;
		bede_scores_learn(&search->heat, &heat.ranges, measure.windows, exchange->learned);
		exchange->learned = (unsigned)minimum(exchange->learned + measure.windows, BEDE_SCORES_MOST);
		exchange->fits = exchange->window_us < measure.window_us * 2 &&
				 exchange->window_us > measure.window_us / 2;
		search->heat_us = now_us();
		bede_search_rewind(search);
		search->earliest_us = 0; /* the order is to be a new one at once */
		bede_search_refresh(search, true);
		bede_search_rewind(search);
	}
	free(heat.ranges.at);
	return err;
}

/*
 * Whether a page with the score hot is used so much more often than one with the score cold that moving both pays. A page
 * that is used r times a second is seen in a window of t seconds with a probability of 1 - exp(-rt), its score. So the
 * difference of the rates is log((1 - cold) / (1 - hot)) / t. It must be PAYS in FORESEEN_US; the logarithm is avoided by
 * the other side's exponential, of an argument of at most 1. No page counts as used more often than twenty windows tell.
 */
static bool pays(const struct bede_exchange *exchange, unsigned hot, unsigned cold)
{
	double unseen = BEDE_HEAT_ALWAYS + BEDE_HEAT_ALWAYS / BEDE_SCORES_MOST;
	double x = (double)PAYS * (double)exchange->window_us / FORESEEN_US;

	return (unseen - cold) / (unseen - hot) >= 1 + x + x * x / 2 + x * x * x / 6;
}

/* Whether a hot page is to be exchanged for a cold one. One that was just moved must be twice as much hotter. */
static bool is_better(const struct bede_exchange *exchange, const struct bede_pages *hot, size_t i,
		      const struct bede_pages *cold, size_t j, uint64_t at_us)
{
	unsigned margin = exchange->margin;

	if (bede_recent_has(&exchange->demoted, hot->pid, (uint64_t)(uintptr_t)hot->at[i], at_us) ||
	    bede_recent_has(&exchange->promoted, cold->pid, (uint64_t)(uintptr_t)cold->at[j], at_us))
		margin *= 2;
	return hot->heat[i] >= cold->heat[j] + margin && pays(exchange, hot->heat[i], cold->heat[j]);
}

/* How many of the first pages of hot are worth being exchanged for the first pages of cold. Sets the bytes of these. */
static size_t worth(struct bede_exchange *exchange, uint64_t most, uint64_t *bytes)
{
	struct bede_pages *hot = exchange->hot, *cold = exchange->cold;
	uint64_t at_us = now_us(), room = 0;
	size_t i = 0, j = 0;

	*bytes = 0;
	while (i < hot->count && *bytes + hot->size[i] <= most) {
		if (room < hot->size[i]) {
			if (j == cold->count)
				break;
			if (!is_better(exchange, hot, i, cold, j, at_us))
				break;
			room += cold->size[j++];
			continue;
		}
		room -= hot->size[i];
		*bytes += hot->size[i++];
	}
	return i;
}

static void remember(struct bede_exchange *exchange, struct bede_recent *moved,
		     const struct bede_recent *back, const struct bede_pages *pages, size_t count)
{
	uint64_t at_us = now_us();

	for (size_t i = 0; i < count; i++) {
		uint64_t address = (uint64_t)(uintptr_t)pages->at[i];

		if (bede_recent_has(back, pages->pid, address, at_us))
			exchange->bytes_vain += pages->size[i];
		bede_recent_note(moved, pages->pid, address, at_us);
	}
}

/* Demote cold pages of at least so many bytes, if there are. */
static uint64_t demote(struct bede_exchange *exchange, uint64_t bytes, int node)
{
	size_t count = bede_pages_within(exchange->cold, bytes);
	uint64_t moved = 0;

	count += count < exchange->cold->count && !count;
	remember(exchange, &exchange->demoted, &exchange->promoted, exchange->cold, count);
	(void)bede_pages_move(exchange->cold, count, node, &moved);
	exchange->bytes_demoted += moved;
	return moved;
}

/* Promote at most so many bytes of the hot pages, of which demoted bytes were made room for. */
static uint64_t promote(struct bede_exchange *exchange, uint64_t bytes, uint64_t demoted, int node)
{
	uint64_t granted = exchange->ticket ? bede_ticket_take(exchange->ticket, bytes, demoted) : bytes;
	size_t count = bede_pages_within(exchange->hot, granted);
	uint64_t moved = 0;

	remember(exchange, &exchange->promoted, &exchange->demoted, exchange->hot, count);
	(void)bede_pages_move(exchange->hot, count, node, &moved);
	if (exchange->ticket && granted)
		bede_ticket_give_back(exchange->ticket);
	exchange->bytes_promoted += moved;
	return moved;
}

/* Drop the hot pages that were demoted just now, and are not hot enough to come back for any page. */
static void drop_recent(struct bede_exchange *exchange)
{
	struct bede_pages *hot = exchange->hot;
	uint64_t at_us = now_us();

	for (size_t i = hot->count; i-- > 0;)
		if (hot->heat[i] < exchange->margin * 2 &&
		    bede_recent_has(&exchange->demoted, hot->pid, (uint64_t)(uintptr_t)hot->at[i], at_us))
			bede_pages_drop(hot, i);
}

static void note_vain(struct bede_exchange *exchange, uint64_t bound)
{
	uint64_t moved = exchange->bytes_demoted + exchange->bytes_promoted;

	if (exchange->bytes_vain * VAIN_PARTS > moved)
		exchange->margin = exchange->margin * 2 < MOST_MARGIN ? exchange->margin * 2 : MOST_MARGIN;
	else if (exchange->margin > MARGIN)
		exchange->margin--;
	bool settled =
		exchange->learned == BEDE_SCORES_MOST && exchange->bytes_promoted * SETTLED_PARTS < bound;

	exchange->pace = settled ? PACE_SETTLED : PACE_LEARNING;
}

/* Collect hot far pages, unless some are left. False if there are no more. */
static bool have_hot(struct bede_exchange *exchange, const struct bede_exchange_ask *ask, uint64_t until)
{
	while (!exchange->hot->count) {
		if (bede_search_collect(exchange->search, exchange->hot, true, ask->far_mask, LEAST_SCORE,
					ask->ticket, until) <= 0)
			return false;
		drop_recent(exchange);
	}
	return true;
}

/* Collect cold pages of that node for so many bytes, unless some are left. False if there are no more. */
static bool have_cold(struct bede_exchange *exchange, uint64_t bytes, int node, uint64_t until)
{
	unsigned limit = BEDE_HEAT_ALWAYS - exchange->margin;

	return exchange->cold->count || bede_search_collect(exchange->search, exchange->cold, false,
							    1ULL << node, limit, bytes, until) > 0;
}

void bede_exchange_run(struct bede_exchange *exchange, const struct bede_exchange_ask *ask)
{
	struct bede_pages *hot = exchange->hot, *cold = exchange->cold;
	int far = bede_roomiest(ask->far_mask), local = bede_roomiest(ask->local_mask);
	uint64_t left = ask->most, until = now_us() + LONGEST_US;
	bool spare = exchange->ticket != NULL;

	exchange->bytes_demoted = exchange->bytes_promoted = exchange->bytes_vain = 0;
	bede_pages_clear(hot);
	bede_pages_clear(cold);
	bede_search_rewind(exchange->search);
	while (exchange->ready && now_us() < until && have_hot(exchange, ask, until)) {
		uint64_t at_once = ask->ticket > hot->size[0] ? ask->ticket : hot->size[0];
		uint64_t most = minimum(left, at_once), bytes, demoted = 0;

		if (most < hot->size[0])
			break;
		if (!spare) {
			if (!have_cold(exchange, at_once, local, until) ||
			    cold->heat[0] + exchange->margin > hot->heat[0] ||
			    !pays(exchange, hot->heat[0], cold->heat[0]))
				break;
			if (!worth(exchange, most, &bytes)) {
				/* There is no room for a page so large, or the cold one was just promoted. */
				if (bede_pages_bytes(cold) < hot->size[0])
					bede_pages_drop(hot, 0);
				else
					bede_pages_drop(cold, 0);
				continue;
			}
			demoted = demote(exchange, bytes, far);
			most = minimum(most, demoted);
		}
		uint64_t promoted = most ? promote(exchange, most, demoted, local) : 0;

		ask->paid(ask->context, demoted, promoted);
		left -= minimum(promoted, left);
		if (!promoted && !spare)
			break;
		/* Where nothing was granted, there is no room that nobody uses. A huge page may have left some. */
		spare = exchange->ticket && promoted && (spare || demoted > promoted);
	}
	note_vain(exchange, ask->bound);
}

uint64_t bede_exchange_pause(const struct bede_exchange *exchange, uint64_t used_us)
{
	return used_us * exchange->pace;
}

void bede_exchange_close(struct bede_exchange *exchange)
{
	bede_recent_free(&exchange->demoted);
	bede_recent_free(&exchange->promoted);
}
