/* SPDX-License-Identifier: Apache-2.0 */
/* In which order ranges are taken: by heat, and by process and address among equals. */
#ifndef BEDE_ORDER_H
#define BEDE_ORDER_H

#include "vmas.h"

/*
 * Give ranges the heat of what was measured, splitting them where it changes, and put the coldest
 * first. Returns 0 or -ENOMEM, in which case the order is undefined.
 */
int bede_order(struct bede_ranges *ranges, const struct bede_ranges *heat);

/* The first range that comes at or after one. */
size_t bede_order_find(const struct bede_ranges *ranges, const struct bede_range *one);

#endif
