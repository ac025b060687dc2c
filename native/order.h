/* SPDX-License-Identifier: Apache-2.0 */
/* The order in which ranges are moved: by heat, and at equal heat by process and address. */
#ifndef BEDE_ORDER_H
#define BEDE_ORDER_H

#include "vmas.h"

/*
 * Set the heat of ranges from the measured ranges in heat, splitting a range where its heat changes, and
 * sort them, coldest first. Of shared memory that is in use, the range of that process is left which used it. heat is sorted by
 * owner and place. Returns 0, or -ENOMEM: then the order is undefined.
 */
int bede_order(struct bede_ranges *ranges, const struct bede_ranges *heat);

/* Sort ranges by process and address. */
void bede_order_by_address(struct bede_ranges *ranges);

/* Sort ranges by owner and place. */
void bede_order_by_place(struct bede_ranges *ranges);

/* The index of the first range that is equal to one, or comes after it in this order. */
size_t bede_order_find(const struct bede_ranges *ranges, const struct bede_range *one);

#endif
