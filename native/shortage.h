/* SPDX-License-Identifier: Apache-2.0 */
/* Whether the host as a whole is short of memory, by MemAvailable of /proc/meminfo (proc_meminfo(5)). */
#ifndef BEDE_SHORTAGE_H
#define BEDE_SHORTAGE_H

#include <stdbool.h>
#include <stdint.h>

enum bede_shortage_level {
	BEDE_PLENTY,
	BEDE_SCARCE, /* less than 1/16 of the host's memory is available */
	BEDE_GONE,   /* less than 1/64 */
};

struct bede_shortage {
	int fd; /* /proc/meminfo, or -1 */
	uint64_t looked_us;
	enum bede_shortage_level level;
};

/* Open the file meminfo. Without it the level is always BEDE_PLENTY. */
void bede_shortage_open(struct bede_shortage *shortage, const char *meminfo);

/*
 * Check again, if the last check was at least a tenth of a second ago. A level ends only when twice its
 * limit is available. True if the level has changed.
 */
bool bede_shortage_look(struct bede_shortage *shortage, uint64_t at_us);

void bede_shortage_close(struct bede_shortage *shortage);

#endif
