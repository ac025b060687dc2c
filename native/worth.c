/* SPDX-License-Identifier: Apache-2.0 */
#include "worth.h"

#include <math.h>

#include "scores.h"
#include "units.h"

/*
 * A score that is an average of twenty windows differs by up to a tenth by chance alone. A margin of two tenths is beyond that. And
 * a page that was in use in less than three tenths of the windows was used once in a while, or by a scan. Both are less
 * for longer averages.
 */
#define MARGIN (20 * BEDE_HEAT_POINT)
#define MOST_MARGIN (60 * BEDE_HEAT_POINT)
#define LEAST_HEAT (30 * BEDE_HEAT_POINT)
/*
 * Moving two pages takes 4.8 us, and one access to a far page instead of a local one 160 ns: thirty accesses have to
 * follow within the time for which one can foresee them: as long as it was so before.
 */
#define PAYS 30
#define MOST_FORESEEN_US 60000000
#define MOST_CHANCE (1.0 / BEDE_SCORES_LEAST)
#define VAIN_PARTS 10 /* one of so many moved in vain is too much */

void bede_worth_open(struct bede_exchange *exchange)
{
	exchange->margin = MARGIN;
}

void bede_worth_adjust(struct bede_exchange *exchange)
{
	uint64_t moved = exchange->bytes_demoted + exchange->bytes_promoted;

	if (exchange->bytes_vain * VAIN_PARTS > moved)
		exchange->margin = exchange->margin * 2 < MOST_MARGIN ? exchange->margin * 2 : MOST_MARGIN;
	else if (exchange->margin > MARGIN)
		exchange->margin -= BEDE_HEAT_POINT;
}

/* The part of a throw's variance that is left in the scores, as if they were of twenty windows at least: few tell too little. */
static double chance_of(const struct bede_exchange *exchange)
{
	double chance = exchange->learn.chance;

	return chance < MOST_CHANCE ? chance : MOST_CHANCE;
}

/* That number, which is for scores of twenty windows, for those that there are: there is less chance in averages of more. */
static unsigned for_windows(const struct bede_exchange *exchange, unsigned number)
{
	return (unsigned)(number * sqrt(chance_of(exchange) / MOST_CHANCE));
}

unsigned bede_worth_least(const struct bede_exchange *exchange)
{
	return for_windows(exchange, LEAST_HEAT);
}

unsigned bede_worth_margin(const struct bede_exchange *exchange)
{
	return for_windows(exchange, exchange->margin);
}

/*
 * Whether a page with the heat hot is used so much more often than one with the heat cold that moving both pays. A page
 * that is used r times a second is seen in a window of t seconds with a probability of 1 - exp(-rt), its heat. So the
 * difference of the rates is log((1 - cold) / (1 - hot)) / t. It must be PAYS in the time foreseen; the logarithm is avoided by
 * the other side's exponential, of an argument of at most 1. No page counts as used more often than the windows tell.
 */
static bool pays(const struct bede_exchange *exchange, unsigned hot, unsigned cold)
{
	const struct bede_learn *learn = &exchange->learn;
	double unseen = BEDE_HEAT_ALWAYS * (1 + chance_of(exchange));
	uint64_t foreseen = minimum(learn->age_us, MOST_FORESEEN_US);
	double x = (double)PAYS * (double)learn->scored_us /
		   (double)(foreseen > BEDE_WORTH_FORESEEN_US ? foreseen : BEDE_WORTH_FORESEEN_US);

	return (unseen - cold) / (unseen - hot) >= 1 + x + x * x / 2 + x * x * x / 6;
}

/* Whether a hot page is to be exchanged for a cold one, that is hotter by so much. */
static bool is_hotter(const struct bede_exchange *exchange, unsigned hot, unsigned cold, unsigned margin)
{
	return hot >= cold + margin && pays(exchange, hot, cold);
}

bool bede_worth_first(const struct bede_exchange *exchange)
{
	return is_hotter(exchange, exchange->hot->heat[0], exchange->cold->heat[0],
			 bede_worth_margin(exchange));
}

/* The same for any two. A page that was just moved needs twice the margin. */
static bool is_better(const struct bede_exchange *exchange, size_t i, size_t j, uint64_t at_us)
{
	const struct bede_pages *hot = exchange->hot, *cold = exchange->cold;
	bool moved = bede_recent_has(&exchange->demoted, hot->key[i], at_us) ||
		     bede_recent_has(&exchange->promoted, cold->key[j], at_us);

	return is_hotter(exchange, hot->heat[i], cold->heat[j], bede_worth_margin(exchange) * (1 + moved));
}

/* Whether a part of the room for a huge page was made just now, and the rest was not worth it. */
static bool lacks_room(const struct bede_exchange *exchange, uint64_t at_us)
{
	return exchange->lacked_us && at_us < exchange->lacked_us + BEDE_WORTH_FORESEEN_US;
}

size_t bede_worth_count(const struct bede_exchange *exchange, uint64_t most, uint64_t room, size_t *refused)
{
	const struct bede_pages *hot = exchange->hot, *cold = exchange->cold;
	uint64_t at_us = now_us();
	size_t j = 0, count = 0;

	for (size_t i = 0; i < hot->count && hot->size[i] <= most; i++) {
		for (; room < hot->size[i]; room += cold->size[j++]) {
			/* A huge page may need more small ones than the list has: these make a part of its room. */
			*refused = j;
			if (j == cold->count)
				return count || lacks_room(exchange, at_us) ? count : j;
			if (!is_better(exchange, i, j, at_us))
				return count;
		}
		room -= hot->size[i];
		most -= hot->size[i];
		count = j;
	}
	return count;
}
