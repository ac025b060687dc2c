/* SPDX-License-Identifier: Apache-2.0 */
/* The threads of a holder: they have small stacks, and waiting for their end has a time-out. */
#ifndef BEDE_THREAD_H
#define BEDE_THREAD_H

#include <pthread.h>
#include <stddef.h>

/*
 * Start a thread with a stack of so many KiB. Its name, of 15 characters at most, is what `top -H` and /proc show. Returns 0 or
 * a negative errno.
 */
int bede_thread_start(pthread_t *out, const char *name, size_t stack_kib, void *(*run)(void *),
		      void *argument);

/* Wait for the thread's end, ten seconds at most. Returns 0, or -ETIMEDOUT: it hangs, and is detached. */
int bede_thread_end(pthread_t thread);

/* Give the calling thread a real-time priority, if that is allowed. */
void bede_thread_go_first(void);

/* Write to an eventfd; nothing if it is -1. */
void bede_wake(int eventfd);

#endif
