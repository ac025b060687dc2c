/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which pages are local: measures heat, and exchanges hot far pages for cold local ones.
 *
 * A part's score is the share of windows in which it was in use, averaged (scores.h). From that follows the heat to be expected of it
 * (forecast.h). A far page is exchanged for a local one if more heat is to be expected of it, by a margin, and if the
 * gain pays for moving two pages. So what is read once, as by a scan, is not promoted. All of this takes a small share of a CPU: when it costs more, it happens less often.
 */
#ifndef BEDE_EXCHANGE_H
#define BEDE_EXCHANGE_H

#include "learn.h"
#include "recent.h"
#include "search.h"
#include "ticket.h"

struct bede_exchange {
	struct bede_search *search;
	struct bede_learn learn;
	struct bede_pages *cold, *hot; /* where pages to demote, and to promote, are collected */
	struct bede_ticket *ticket;    /* NULL: no fence has to be lowered */
	struct bede_recent demoted, promoted, stuck; /* which pages were moved, or could not be */
	unsigned margin; /* by which a far page's heat must be higher, with scores of twenty windows */
	uint64_t pace;	 /* the next exchange comes after so many times the CPU time of the last one, ... */
	uint64_t due_us; /* ... which is then; there may be looks until then */
	uint64_t lacked_us; /* when only a part of the room for a huge page was worth making; or 0 */
	/* What the last exchange did; bytes. */
	uint64_t bytes_demoted, bytes_promoted, bytes_vain;
};

/* What one exchange may do. */
struct bede_exchange_ask {
	struct bede_learn_ask heat;
	uint64_t most;		       /* bytes to promote at most */
	uint64_t ticket;	       /* bytes to promote at a time */
	uint64_t local_mask, far_mask; /* promote to nodes of local_mask, and from nodes of far_mask */
	/* Called after each batch, with the bytes moved in it. It may wait, so as to keep to a rate. */
	void (*paid)(void *context, uint64_t demoted, uint64_t promoted);
	void *context;
};

/* exchange must be all zero but for search, cold, hot and ticket. */
void bede_exchange_open(struct bede_exchange *exchange);

/*
 * Measure heat and learn from it; the search's list is then in the order of the scores. *used_us gets the CPU time that
 * the kernel spent on it. Returns 0, or a negative errno as bede_heat_measure does.
 */
int bede_exchange_measure(struct bede_exchange *exchange, const struct bede_exchange_ask *ask,
			  uint64_t *used_us);

/* Promote the hottest pages into room that nobody uses, between two measurements. */
void bede_exchange_fill(struct bede_exchange *exchange, const struct bede_exchange_ask *ask);

/* Exchange what is worth it. */
void bede_exchange_run(struct bede_exchange *exchange, const struct bede_exchange_ask *ask);

/* After an exchange, or a look, that took so much CPU time: microseconds until the next one. */
uint64_t bede_exchange_pause(struct bede_exchange *exchange, uint64_t used_us);

/* There is leave for the next one only so much later: what is due after it waits as much longer. */
void bede_exchange_wait(struct bede_exchange *exchange, uint64_t more_us);

void bede_exchange_close(struct bede_exchange *exchange);

#endif
