/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "thread.h"

#include <errno.h>
#include <sched.h>
#include <stdint.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define END_S 10

int bede_thread_start(pthread_t *out, const char *name, size_t stack_kib, void *(*run)(void *),
		      void *argument)
{
	pthread_attr_t attributes;

	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, stack_kib * 1024);
	int err = -pthread_create(out, &attributes, run, argument);

	pthread_attr_destroy(&attributes);
	if (!err)
		(void)pthread_setname_np(*out, name);
	return err;
}

int bede_thread_end(pthread_t thread)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += END_S;
	if (!pthread_timedjoin_np(thread, NULL, &until))
		return 0;
	pthread_detach(thread);
	return -ETIMEDOUT;
}

void bede_thread_go_first(void)
{
	if (sched_setscheduler(0, SCHED_RR, &(struct sched_param){ .sched_priority = 1 }))
		(void)setpriority(PRIO_PROCESS, 0, -20);
}

void bede_wake(int eventfd)
{
	uint64_t one = 1;

	if (eventfd >= 0)
		(void)!write(eventfd, &one, sizeof(one));
}
