/* SPDX-License-Identifier: Apache-2.0 */
/* The threads of a holder: small stacks, and no end that is waited for without end. */
#ifndef BEDE_THREAD_H
#define BEDE_THREAD_H

#include <pthread.h>
#include <stddef.h>

/* Start one with a stack of so many KiB. Returns 0 or a negative errno. */
int bede_thread_start(pthread_t *out, size_t stack_kib, void *(*run)(void *), void *argument);

/* Wait for its end, ten seconds at most. Returns 0, or -ETIMEDOUT: it hangs, and is nobody's any more. */
int bede_thread_end(pthread_t thread);

/* Let the calling thread go before all that has no real-time priority, as far as that is allowed. */
void bede_thread_go_first(void);

/* Tell whoever waits for an eventfd, or nobody where that is -1. */
void bede_wake(int eventfd);

#endif
