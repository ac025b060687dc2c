/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "deadline.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The C library keeps the real-time signals below SIGRTMIN for itself; Python uses none of the others. */
#define DEADLINE_SIGNAL (SIGRTMIN + 5)

static void interrupt(int signal)
{
	(void)signal;
}

int bede_deadline_open(struct bede_deadline *deadline)
{
	struct sigaction action = { .sa_handler = interrupt };
	struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = DEADLINE_SIGNAL };
	sigset_t set;

	event._sigev_un._tid = (pid_t)syscall(SYS_gettid);
	if (sigaction(DEADLINE_SIGNAL, &action, NULL) < 0)
		return -errno;
	sigemptyset(&set);
	sigaddset(&set, DEADLINE_SIGNAL);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	if (timer_create(CLOCK_MONOTONIC, &event, &deadline->timer) < 0)
		return -errno;
	deadline->armed = 1;
	return 0;
}

void bede_deadline_set(struct bede_deadline *deadline, uint64_t microseconds)
{
	struct timespec time = { .tv_sec = (time_t)(microseconds / 1000000),
				 .tv_nsec = (long)(microseconds % 1000000) * 1000 };
	struct itimerspec when = { .it_value = time, .it_interval = time };

	/* Not timer itself: the first timer of a process has number 0, like one that was never made. */
	if (deadline->armed)
		timer_settime(deadline->timer, 0, &when, NULL);
}

void bede_deadline_clear(struct bede_deadline *deadline)
{
	struct itimerspec never = { 0 };

	if (deadline->armed)
		timer_settime(deadline->timer, 0, &never, NULL);
}

void bede_deadline_close(struct bede_deadline *deadline)
{
	if (deadline->armed)
		timer_delete(deadline->timer);
	deadline->armed = 0;
}
