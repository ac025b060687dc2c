/* SPDX-License-Identifier: Apache-2.0 */
/* Units that several files use. */
#ifndef BEDE_UNITS_H
#define BEDE_UNITS_H

#include <stdint.h>
#include <time.h>

#define PAGE 4096ULL
#define HUGE_PAGE (2 * 1024 * 1024ULL)

static inline uint64_t minimum(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* CLOCK_MONOTONIC in microseconds. */
static inline uint64_t now_us(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000 + (uint64_t)time.tv_nsec / 1000;
}

#endif
