/* SPDX-License-Identifier: Apache-2.0 */
/* Which of several nodes has room, by MemFree of its meminfo (Documentation/ABI/stable/sysfs-devices-node). */
#ifndef BEDE_ROOMIEST_H
#define BEDE_ROOMIEST_H

#include <stdint.h>

/* The node of mask, which is not empty, with most free memory. */
int bede_roomiest(uint64_t mask);

#endif
