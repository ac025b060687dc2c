/* SPDX-License-Identifier: Apache-2.0 */
/* What is worth an exchange: by how much more often one page is used than another, and whether that pays for moving both. */
#ifndef BEDE_WORTH_H
#define BEDE_WORTH_H

#include "exchange.h"

#define BEDE_WORTH_FORESEEN_US 10000000 /* for how long one can foresee at least which pages are in use */

/* Set the margin to begin with. */
void bede_worth_open(struct bede_exchange *exchange);

/* Adjust the margin after an exchange: it grows when too much was moved in vain. */
void bede_worth_adjust(struct bede_exchange *exchange);

/* By how much the heat of a far page must be higher than a local one's. */
unsigned bede_worth_margin(const struct bede_exchange *exchange);

/* The least heat of a page to be promoted. */
unsigned bede_worth_least(const struct bede_exchange *exchange);

/* Whether the first hot page would be worth the first cold one, if neither had been moved just now. */
bool bede_worth_first(const struct bede_exchange *exchange);

/*
 * How many of the first cold pages are worth being demoted for the first hot ones, of which most bytes may be promoted. There is
 * room for some of these already. *refused: the cold page that was not worth it.
 */
size_t bede_worth_count(const struct bede_exchange *exchange, uint64_t most, uint64_t room, size_t *refused);

#endif
