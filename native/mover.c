/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "mover.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "heat.h"
#include "order.h"
#include "thread.h"
#include "units.h"

#define SLICE_US 30000	    /* most time for one task, since what is needed may have changed by then */
#define READ_US 1000000	    /* age at which the list of VMAs is read again, ... */
#define READ_COST 10	    /* ... but not before so many times as long as the last read took */
#define BARREN_US 40000	    /* first rest after a whole round that moved nothing; further ones double ... */
#define MOST_US 2000000	    /* ... up to this */
#define EXCHANGE_US 1000000 /* most time for one exchange */
#define FRESH_US 3000000    /* heat that was measured so recently still holds */
#define STALE_US 15000000   /* heat that was measured so long ago is useless */
#define CONTRAST 2 /* samples by which a far page must be hotter than a local one to be exchanged for it */
#define LEAST_PROCESS (1024 * 1024ULL) /* bytes; heat of smaller processes is not measured */

static uint64_t cpu_us(void)
{
	struct timespec time;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
	return (uint64_t)time.tv_sec * 1000000 + (uint64_t)time.tv_nsec / 1000;
}

static uint64_t free_on(int node)
{
	char path[64], text[512];

	(void)snprintf(path, sizeof(path), "/sys/devices/system/node/node%d/meminfo", node);
	BEDE_FD fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	text[got > 0 ? got : 0] = '\0';
	const char *found = strstr(text, "MemFree:");

	return found ? strtoull(found + strlen("MemFree:"), NULL, 10) : 0;
}

/* The node of mask with most free memory. */
static int roomiest(uint64_t mask)
{
	int best = __builtin_ctzll(mask);

	if (mask & (mask - 1)) {
		uint64_t most = 0;

		for (int node = 0; node < BEDE_MAX_NODES; node++) {
			uint64_t room = mask >> node & 1 ? free_on(node) : 0;

			if (room > most) {
				most = room;
				best = node;
			}
		}
	}
	return best;
}

static struct bede_range *range_at(const struct bede_mover *mover, const struct bede_hand *hand, bool hot)
{
	size_t count = mover->vmas.ranges.count;

	return hand->index < count ? &mover->vmas.ranges.at[hot ? count - 1 - hand->index : hand->index] :
				     NULL;
}

static void find_again(struct bede_mover *mover, struct bede_hand *hand, const struct bede_range *was,
		       bool hot)
{
	size_t count = mover->vmas.ranges.count;
	size_t index = was ? bede_order_find(&mover->vmas.ranges, was) : 0;

	if (!was || index == count) {
		*hand = (struct bede_hand){ 0 };
		return;
	}
	hand->index = hot ? count - 1 - index : index;
	if (mover->vmas.ranges.at[index].start != was->start || mover->vmas.ranges.at[index].pid != was->pid)
		hand->at = 0;
}

static bool stopped(void *context)
{
	struct bede_mover *mover = context;

	pthread_mutex_lock(&mover->lock);
	bool stop = mover->stop;

	pthread_mutex_unlock(&mover->lock);
	return stop;
}

/* Read the VMAs again, if the list is old or now is set. Both hands keep their place where possible. */
static void refresh(struct bede_mover *mover, bool now)
{
	uint64_t start = now_us();

	if (start < mover->earliest_us || (start < mover->read_us && !now))
		return;
	struct bede_range *cold = range_at(mover, &mover->cold, false), was_cold = { 0 };
	struct bede_range *hot = range_at(mover, &mover->hot, true), was_hot = { 0 };

	if (cold)
		was_cold = *cold;
	if (hot)
		was_hot = *hot;
	if (mover->heat_us && start > mover->heat_us + STALE_US)
		mover->heat.count = 0;
	if (bede_vmas_read(&mover->vmas, mover->dir, mover->local_mask, stopped, mover) ||
	    bede_order(&mover->vmas.ranges, &mover->heat))
		mover->vmas.ranges.count = 0;
	find_again(mover, &mover->cold, cold ? &was_cold : NULL, false);
	find_again(mover, &mover->hot, hot ? &was_hot : NULL, true);
	/* Open processes again at the next search: one may have executed another program since. */
	bede_pages_close(&mover->pages);
	bede_pages_close(&mover->others);
	uint64_t end = now_us();

	mover->earliest_us = end + (end - start) * READ_COST;
	mover->read_us = mover->earliest_us > end + READ_US ? mover->earliest_us : end + READ_US;
	pthread_mutex_lock(&mover->lock);
	mover->moved.program_bound = mover->vmas.program_bound;
	mover->moved.looks++;
	pthread_mutex_unlock(&mover->lock);
}

static int by_size(const void *left, const void *right)
{
	const struct bede_process *a = left, *b = right;

	return (a->bytes < b->bytes) - (a->bytes > b->bytes);
}

static void measure(struct bede_mover *mover)
{
	int pids[BEDE_HEAT_TARGETS];
	size_t count = 0;

	mover->tried_us = now_us();
	qsort(mover->vmas.processes, mover->vmas.count, sizeof(*mover->vmas.processes), by_size);
	while (count < BEDE_HEAT_TARGETS && count < mover->vmas.count &&
	       mover->vmas.processes[count].bytes >= LEAST_PROCESS) {
		pids[count] = mover->vmas.processes[count].pid;
		count++;
	}
	struct bede_ranges heat = { 0 };

	pthread_mutex_lock(&mover->lock);
	mover->moved.measuring = true;
	pthread_mutex_unlock(&mover->lock);
	int err = count ? bede_heat_measure(pids, count, &mover->measuring, &heat) : -ESRCH;

	pthread_mutex_lock(&mover->lock);
	mover->moved.measuring = false;
	pthread_mutex_unlock(&mover->lock);
	if (err) {
		free(heat.at);
		return;
	}
	free(mover->heat.at);
	mover->heat = heat;
	mover->heat_us = now_us();
	mover->cold = mover->hot = (struct bede_hand){ 0 };
	refresh(mover, true);
	mover->cold = mover->hot = (struct bede_hand){ 0 };
	pthread_mutex_lock(&mover->lock);
	mover->moved.measured++;
	pthread_mutex_unlock(&mover->lock);
}

/*
 * Find the next pages in the hand's order that are on nodes of mask, and no hotter than limit (or, with
 * hot, no colder). Returns 1, 0 at the end of the round, or -1 if the time is over.
 */
static int find(struct bede_mover *mover, struct bede_pages *pages, struct bede_hand *hand, bool hot,
		uint64_t mask, unsigned limit, uint64_t until_us)
{
	for (struct bede_range *range; (range = range_at(mover, hand, hot));) {
		if (hot ? range->heat < limit : range->heat > limit)
			return 0;
		if (!(range->nodes & mask)) {
			hand->index++;
			hand->at = 0;
			continue;
		}
		if (now_us() > until_us || stopped(mover))
			return -1;
		if (hand->at < range->start)
			hand->at = range->start;
		if (hand->at < range->end && !bede_pages_find(pages, range, &hand->at)) {
			if (bede_pages_on(pages, mask))
				return 1;
			continue;
		}
		hand->index++;
		hand->at = 0;
	}
	return 0;
}

/* Sleep until the bytes that were moved fit into the rate. */
static void pay(struct bede_mover *mover, uint64_t bytes)
{
	uint64_t now = now_us();

	if (mover->paid_us < now)
		mover->paid_us = now;
	if (mover->rate)
		mover->paid_us += bytes * 1000000 / mover->rate;
	while (mover->paid_us > now + SLICE_US && !stopped(mover)) {
		usleep(SLICE_US / 2);
		now = now_us();
	}
}

static void note(struct bede_mover *mover, uint64_t demoted, uint64_t promoted)
{
	pthread_mutex_lock(&mover->lock);
	mover->moved.demoted += demoted;
	mover->moved.promoted += promoted;
	mover->moved.tries++;
	pthread_mutex_unlock(&mover->lock);
	pay(mover, demoted + promoted);
}

static void rest(struct bede_mover *mover)
{
	mover->rest_us = minimum(mover->rest_us ? mover->rest_us * 2 : BARREN_US, MOST_US);
	pthread_mutex_lock(&mover->lock);
	mover->moved.rests_us = now_us() + mover->rest_us;
	pthread_mutex_unlock(&mover->lock);
}

/* Demote the coldest pages, or promote the hottest. */
static void move(struct bede_mover *mover, uint64_t bytes, uint64_t from, uint64_t to, bool hot)
{
	struct bede_hand *hand = hot ? &mover->hot : &mover->cold;
	int target = roomiest(to);
	uint64_t until = now_us() + SLICE_US, left = bytes;

	while (left) {
		struct bede_hand before = *hand;
		int found = find(mover, &mover->pages, hand, hot, from, hot ? 0 : UINT32_MAX, until);

		if (found < 0)
			break;
		if (!found) {
			/* End of the round. The next begins with a new list: memory may have changed. */
			if (!hand->moved)
				rest(mover);
			*hand = (struct bede_hand){ 0 };
			mover->read_us = 0;
			break;
		}
		uint64_t moved = 0, there = bede_pages_on(&mover->pages, from);
		int err = bede_pages_move(&mover->pages, from, target, left, &moved);

		note(mover, hot ? 0 : moved, hot ? moved : 0);
		if (moved) {
			hand->moved = true;
			mover->rest_us = 0;
		}
		left -= minimum(moved, left);
		if (moved && moved < there && hand->index == before.index && !left)
			hand->at = before.at;
		if (err == -ENOMEM || err == -EACCES || err == -EPERM) {
			rest(mover);
			break;
		}
	}
}

/* Demote cold pages to make room for hot ones, and promote these, as long as that is worth it. */
static void exchange(struct bede_mover *mover, const struct bede_ask *ask)
{
	int far = roomiest(mover->far_mask), local = roomiest(ask->to);
	uint64_t left = ask->exchange, until = now_us() + EXCHANGE_US;

	if (!mover->heat_us || now_us() > mover->heat_us + FRESH_US)
		return;
	mover->cold = mover->hot = (struct bede_hand){ 0 };
	while (left && find(mover, &mover->others, &mover->hot, true, mover->far_mask, BEDE_UNKNOWN_HEAT + 1,
			    until) > 0) {
		unsigned heat = range_at(mover, &mover->hot, true)->heat;
		uint64_t wanted = minimum(bede_pages_on(&mover->others, mover->far_mask), left);
		uint64_t room = 0, promoted = 0;

		/* Make room on the node to which the hot pages go. */
		while (room < wanted && find(mover, &mover->pages, &mover->cold, false, 1ULL << local,
					     heat - CONTRAST, until) > 0)
			if (bede_pages_move(&mover->pages, 1ULL << local, far, wanted - room, &room))
				break;
		if (!room)
			break;
		(void)bede_pages_move(&mover->others, mover->far_mask, local, room, &promoted);
		note(mover, room, promoted);
		left -= minimum(room, left);
	}
}

static void work(struct bede_mover *mover, const struct bede_ask *ask)
{
	refresh(mover, ask->look);
	if (ask->demote) {
		if (ask->fresh && now_us() > mover->tried_us + FRESH_US)
			measure(mover);
		move(mover, ask->demote, ask->from, mover->far_mask, false);
	} else if (ask->exchange) {
		measure(mover);
		exchange(mover, ask);
	} else if (ask->promote) {
		move(mover, ask->promote, mover->far_mask, ask->to, true);
	}
}

static void *run(void *argument)
{
	struct bede_mover *mover = argument;

	pthread_mutex_lock(&mover->lock);
	while (!mover->stop) {
		if (!mover->busy) {
			pthread_cond_wait(&mover->wanted, &mover->lock);
			continue;
		}
		struct bede_ask ask = mover->ask;

		/* bede_mover_ask sets this to 0 if there is something to demote during an exchange. */
		mover->measuring = 1;
		pthread_mutex_unlock(&mover->lock);
		work(mover, &ask);
		pthread_mutex_lock(&mover->lock);
		mover->moved.used_us = cpu_us();
		mover->busy = false;
		bede_wake(mover->wake);
	}
	pthread_mutex_unlock(&mover->lock);
	return NULL;
}

int bede_mover_start(struct bede_mover *mover, int dir, const char *cgroup, int wake, uint64_t local_mask,
		     uint64_t far_mask, uint64_t rate)
{
	mover->dir = dir;
	mover->wake = wake;
	mover->local_mask = local_mask;
	mover->far_mask = far_mask;
	mover->rate = rate;
	bede_pages_open(&mover->pages, cgroup);
	bede_pages_open(&mover->others, cgroup);
	pthread_mutex_init(&mover->lock, NULL);
	pthread_cond_init(&mover->wanted, NULL);
	int err = bede_thread_start(&mover->thread, 256, run, mover);

	mover->running = !err;
	return err;
}

bool bede_mover_ask(struct bede_mover *mover, const struct bede_ask *ask)
{
	pthread_mutex_lock(&mover->lock);
	bool idle = !mover->busy;

	if (!idle && ask->demote && mover->ask.exchange)
		mover->measuring = 0;
	if (idle && (ask->demote || ask->promote || ask->exchange || ask->look)) {
		mover->ask = *ask;
		mover->busy = true;
		pthread_cond_signal(&mover->wanted);
	}
	pthread_mutex_unlock(&mover->lock);
	return idle;
}

void bede_mover_moved(struct bede_mover *mover, struct bede_moved *out)
{
	pthread_mutex_lock(&mover->lock);
	*out = mover->moved;
	pthread_mutex_unlock(&mover->lock);
}

int bede_mover_stop(struct bede_mover *mover)
{
	if (!mover->running)
		return 0;
	pthread_mutex_lock(&mover->lock);
	mover->stop = true;
	mover->measuring = 0;
	pthread_cond_signal(&mover->wanted);
	pthread_mutex_unlock(&mover->lock);
	/* The thread may hang: moving a page of a network file waits for its server. */
	int err = bede_thread_end(mover->thread);

	if (err)
		return err;
	pthread_cond_destroy(&mover->wanted);
	pthread_mutex_destroy(&mover->lock);
	bede_pages_close(&mover->pages);
	bede_pages_close(&mover->others);
	bede_vmas_free(&mover->vmas);
	free(mover->heat.at);
	mover->running = false;
	return 0;
}
