/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "switcher.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "kfile.h"
#include "thread.h"

int bede_switcher_look(const struct bede_switcher *switcher)
{
	char text[BEDE_LIST];
	ssize_t got = pread(switcher->fd, text, sizeof(text) - 1, 0);

	if (got < 0)
		return -errno;
	text[got] = '\0';
	/* If its user has chosen no nodes, systemd may clear the list: then all nodes are allowed. */
	if (!strcmp(text, "\n"))
		return 1;
	for (int i = 0; i < 2; i++)
		if (!strcmp(text, switcher->list[i]))
			return i;
	return -ESTALE;
}

static int write_list(struct bede_switcher *switcher, bool second)
{
	const char *list = switcher->list[second];
	int there = bede_switcher_look(switcher);

	if (there < 0)
		return there;
	return pwrite(switcher->fd, list, strlen(list), 0) < 0 ? -errno : 0;
}

static void *run(void *argument)
{
	struct bede_switcher *switcher = argument;

	/* Until the switch is done, the container may allocate local memory beyond its bound. */
	bede_thread_go_first();
	pthread_mutex_lock(&switcher->lock);
	for (;;) {
		if (!switcher->busy && switcher->stop)
			break;
		if (!switcher->busy) {
			pthread_cond_wait(&switcher->wanted, &switcher->lock);
			continue;
		}
		bool to = switcher->to;

		pthread_mutex_unlock(&switcher->lock);
		int err = write_list(switcher, to);

		pthread_mutex_lock(&switcher->lock);
		switcher->err = err;
		switcher->busy = false;
		bede_wake(switcher->wake);
	}
	pthread_mutex_unlock(&switcher->lock);
	if (switcher->last)
		(void)write_list(switcher, true);
	return NULL;
}

static int copy(char *out, const char *list)
{
	int length = snprintf(out, BEDE_LIST, "%s\n", list ? list : "");

	return length < BEDE_LIST ? 0 : -E2BIG;
}

int bede_switcher_start(struct bede_switcher *switcher, int fd, int wake, const char *first,
			const char *second)
{
	*switcher = (struct bede_switcher){ .fd = fd, .wake = wake };
	int err = copy(switcher->list[0], first);

	err = err ? err : copy(switcher->list[1], second);
	pthread_mutex_init(&switcher->lock, NULL);
	pthread_cond_init(&switcher->wanted, NULL);
	if (err)
		return err;
	err = bede_thread_start(&switcher->thread, "bede-switcher", 64, run, switcher);
	switcher->running = !err;
	return err;
}

bool bede_switcher_go(struct bede_switcher *switcher, bool second)
{
	pthread_mutex_lock(&switcher->lock);
	bool idle = !switcher->busy;

	if (idle) {
		switcher->to = second;
		switcher->busy = true;
		pthread_cond_signal(&switcher->wanted);
	}
	pthread_mutex_unlock(&switcher->lock);
	return idle;
}

bool bede_switcher_done(struct bede_switcher *switcher, int *err)
{
	pthread_mutex_lock(&switcher->lock);
	bool done = !switcher->busy;

	*err = switcher->err;
	pthread_mutex_unlock(&switcher->lock);
	return done;
}

int bede_switcher_stop(struct bede_switcher *switcher, bool second)
{
	if (switcher->running) {
		pthread_mutex_lock(&switcher->lock);
		switcher->stop = true;
		switcher->last = second;
		pthread_cond_signal(&switcher->wanted);
		pthread_mutex_unlock(&switcher->lock);
		int err = bede_thread_end(switcher->thread);

		if (err)
			return err;
		switcher->running = false;
	}
	bede_close(&switcher->fd);
	switcher->fd = -1;
	return 0;
}
