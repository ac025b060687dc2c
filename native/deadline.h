/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A deadline for one thread's system calls: a signal that interrupts them.
 *
 * A write to memory.high reclaims in the writer's context as long as the usage is above it (in
 * kernels that ignore O_NONBLOCK there). Demotion does not lower the usage, so the kernel's loop
 * would demote everything; but it ends at a pending signal. So does an eviction by lru_gen.
 */
#ifndef BEDE_DEADLINE_H
#define BEDE_DEADLINE_H

#include <stdint.h>
#include <time.h>

struct bede_deadline {
	timer_t timer;
	int armed; /* there is a timer */
};

/* To be called by the thread that will be interrupted. Returns 0 or a negative errno. */
int bede_deadline_open(struct bede_deadline *deadline);

/* Interrupt this thread after so long, and again after each such period. Does nothing if it is not open. */
void bede_deadline_set(struct bede_deadline *deadline, uint64_t microseconds);

void bede_deadline_clear(struct bede_deadline *deadline);

void bede_deadline_close(struct bede_deadline *deadline);

#endif
