/* SPDX-License-Identifier: Apache-2.0 */
/* The order in which ranges are moved: by heat, and at equal heat by process and address. */
#ifndef BEDE_ORDER_H
#define BEDE_ORDER_H

#include "forecast.h"
#include "vmas.h"

/*
 * Set the heat of ranges from the measured ranges in heat, or, with a forecast, to what is to be expected by these scores, splitting a
 * range where its heat changes, and sort them, coldest first. Where heat was measured by_page, not in larger parts, only the process that used a page of shared
 * memory surely has it: of what is in use, and of small parts, its range alone is left. heat is sorted by owner and place. Returns
 * 0, or -ENOMEM: then the order is undefined.
 */
int bede_order(struct bede_ranges *ranges, const struct bede_ranges *heat, bool by_page,
	       const struct bede_forecast *forecast);

/* Sort ranges by process and address. */
void bede_order_by_address(struct bede_ranges *ranges);

/* Sort ranges by owner and place. */
void bede_order_by_place(struct bede_ranges *ranges);

/* The index of the first range that is equal to one, or comes after it in this order. */
size_t bede_order_find(const struct bede_ranges *ranges, const struct bede_range *one);

#endif
