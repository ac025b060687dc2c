/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A deadline for one thread's system calls: a signal that interrupts them.
 *
 * A write to memory.high that is lower than the usage makes the writer reclaim until the usage is below it
 * (in kernels that ignore O_NONBLOCK there). Demotion does not lower the usage, so the kernel would demote
 * everything; but its loop ends at a pending signal. So does an eviction by lru_gen.
 */
#ifndef BEDE_DEADLINE_H
#define BEDE_DEADLINE_H

#include <stdint.h>
#include <time.h>

struct bede_deadline {
	timer_t timer;
	int armed; /* timer exists */
};

/* Call it in the thread that will be interrupted. Returns 0 or a negative errno. */
int bede_deadline_open(struct bede_deadline *deadline);

/* Interrupt the thread after so long, and then again and again after as long. Does nothing if not open. */
void bede_deadline_set(struct bede_deadline *deadline, uint64_t microseconds);

void bede_deadline_clear(struct bede_deadline *deadline);

void bede_deadline_close(struct bede_deadline *deadline);

#endif
