/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "demoter.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "deadline.h"
#include "thread.h"

#define COMMAND_US 20000 /* most time for one command: the task may have changed meanwhile */
#define PAUSE_US 2000	 /* pause after no page could be demoted */

static void *run(void *argument)
{
	struct bede_demoter_thread *self = argument;
	struct bede_demoter *demoter = self->demoter;
	unsigned index = (unsigned)(self - demoter->pool);
	struct bede_deadline deadline = { 0 };

	/* With priority this thread takes CPU time from the container's tasks, so that they allocate less. */
	(void)setpriority(PRIO_PROCESS, 0, -20);
	(void)bede_deadline_open(&deadline);
	pthread_mutex_lock(&demoter->lock);
	while (!demoter->stop) {
		if (demoter->prepare && index == 0) {
			demoter->prepare = false;
			int node = demoter->node;

			self->lru.reserve = demoter->reserve;
			pthread_mutex_unlock(&demoter->lock);
			(void)bede_lru_prepare(&self->lru, node, 0);
			pthread_mutex_lock(&demoter->lock);
			continue;
		}
		if (!demoter->pages || index >= demoter->threads) {
			pthread_cond_wait(&demoter->wanted, &demoter->lock);
			continue;
		}
		uint64_t asked, part = demoter->pages < demoter->chunk ? demoter->pages : demoter->chunk;
		int node = demoter->node;

		demoter->pages -= part;
		demoter->moving += part;
		demoter->tries++;
		pthread_mutex_unlock(&demoter->lock);

		bede_deadline_set(&deadline, COMMAND_US);
		int err = bede_lru_demote(&self->lru, node, part, &asked);

		bede_deadline_clear(&deadline);
		if (err || !asked)
			usleep(PAUSE_US);
		pthread_mutex_lock(&demoter->lock);
		demoter->moving -= part;
		demoter->asked += asked;
	}
	pthread_mutex_unlock(&demoter->lock);
	bede_deadline_close(&deadline);
	return NULL;
}

int bede_demoter_start(struct bede_demoter *demoter, int dir, const char *lru_file, const char *lru_path,
		       uint64_t far_mask)
{
	struct stat status;
	int err = fstat(dir, &status) ? -errno : 0;

	pthread_mutex_init(&demoter->lock, NULL);
	pthread_cond_init(&demoter->wanted, NULL);
	for (int i = 0; i < BEDE_DEMOTERS && !err; i++) {
		struct bede_demoter_thread *self = &demoter->pool[i];

		self->demoter = demoter;
		self->lru = (struct bede_lru){ .path = lru_path, .inode = status.st_ino, .may_age = i == 0 };
		self->lru.fd = open(lru_file, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
		if (self->lru.fd < 0) {
			err = -errno;
			break;
		}
		if (i == 0 && !bede_lru_scan(&self->lru))
			for (int node = 0; node < BEDE_MAX_NODES; node++)
				if (far_mask >> node & 1)
					bede_lru_shield(&self->lru, node);
		err = bede_thread_start(&self->thread, "bede-demoter", 128, run, self);
		self->running = !err;
	}
	if (err)
		bede_demoter_stop(demoter);
	return err;
}

void bede_demoter_ask(struct bede_demoter *demoter, int node, uint64_t pages, uint64_t chunk,
		      unsigned threads)
{
	pthread_mutex_lock(&demoter->lock);
	demoter->node = node;
	demoter->pages = pages;
	demoter->chunk = chunk;
	demoter->threads = threads;
	if (pages)
		pthread_cond_broadcast(&demoter->wanted);
	pthread_mutex_unlock(&demoter->lock);
}

void bede_demoter_prepare(struct bede_demoter *demoter, int node, uint64_t pages)
{
	pthread_mutex_lock(&demoter->lock);
	demoter->node = node;
	demoter->reserve = pages;
	demoter->prepare = true;
	pthread_cond_broadcast(&demoter->wanted);
	pthread_mutex_unlock(&demoter->lock);
}

void bede_demoter_count(struct bede_demoter *demoter, uint64_t *asked, uint64_t *tries, uint64_t *moving)
{
	pthread_mutex_lock(&demoter->lock);
	*asked = demoter->asked;
	*tries = demoter->tries;
	*moving = demoter->moving;
	pthread_mutex_unlock(&demoter->lock);
}

void bede_demoter_stop(struct bede_demoter *demoter)
{
	pthread_mutex_lock(&demoter->lock);
	demoter->stop = true;
	pthread_cond_broadcast(&demoter->wanted);
	pthread_mutex_unlock(&demoter->lock);
	for (int i = 0; i < BEDE_DEMOTERS; i++) {
		struct bede_demoter_thread *self = &demoter->pool[i];

		if (self->running)
			pthread_join(self->thread, NULL);
		if (self->demoter)
			bede_close(&self->lru.fd);
		bede_lru_release(&self->lru);
	}
	pthread_cond_destroy(&demoter->wanted);
	pthread_mutex_destroy(&demoter->lock);
}
