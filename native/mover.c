#define _GNU_SOURCE
#include "mover.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "heat.h"
#include "order.h"
#include "units.h"

#define SLICE_US 30000	  /* after which what is wanted is looked at again */
#define READ_US 1000000	  /* how old the list of areas may be ... */
#define READ_COST 10	  /* ... in times of what reading it took, where that is more */
#define BARREN_US 40000	  /* no other try for so long after a whole round has moved nothing ... */
#define MOST_US 2000000	  /* ... and twice as long after the next one, up to this */
#define FRESH_US 3000000  /* heat that was measured so recently is what it is now */
#define STALE_US 15000000 /* heat that was measured so long ago says nothing */
#define CONTRAST 2	  /* that much hotter must a page be for an exchange to be worth it */
#define LEAST_PROCESS (1024 * 1024ULL) /* of smaller ones nothing is measured */

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

/* The node of mask that has most room. */
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
	size_t count = mover->spaces.ranges.count;

	return hand->index < count ? &mover->spaces.ranges.at[hot ? count - 1 - hand->index : hand->index] : NULL;
}

static void find_again(struct bede_mover *mover, struct bede_hand *hand, const struct bede_range *was, bool hot)
{
	size_t count = mover->spaces.ranges.count;
	size_t index = was ? bede_order_find(&mover->spaces.ranges, was) : 0;

	if (!was || index == count) {
		*hand = (struct bede_hand){ 0 };
		return;
	}
	hand->index = hot ? count - 1 - index : index;
	if (mover->spaces.ranges.at[index].start != was->start || mover->spaces.ranges.at[index].pid != was->pid)
		hand->at = 0;
}

/* Read the areas again where they are old; both hands stay where they are as far as possible. */
static void refresh(struct bede_mover *mover, bool now)
{
	uint64_t start = now_us();

	if (start < mover->read_us && !now)
		return;
	struct bede_range *cold = range_at(mover, &mover->cold, false), was_cold = { 0 };
	struct bede_range *hot = range_at(mover, &mover->hot, true), was_hot = { 0 };

	if (cold)
		was_cold = *cold;
	if (hot)
		was_hot = *hot;
	if (mover->heat_us && start > mover->heat_us + STALE_US)
		mover->heat.count = 0;
	if (bede_spaces_read(&mover->spaces, mover->dir, mover->local_mask) ||
	    bede_order(&mover->spaces.ranges, &mover->heat))
		mover->spaces.ranges.count = 0;
	find_again(mover, &mover->cold, cold ? &was_cold : NULL, false);
	find_again(mover, &mover->hot, hot ? &was_hot : NULL, true);
	uint64_t end = now_us(), pause = (end - start) * READ_COST;

	mover->read_us = end + (pause > READ_US ? pause : READ_US);
	pthread_mutex_lock(&mover->lock);
	mover->moved.own = mover->spaces.own;
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
	qsort(mover->spaces.processes, mover->spaces.count, sizeof(*mover->spaces.processes), by_size);
	while (count < BEDE_HEAT_TARGETS && count < mover->spaces.count &&
	       mover->spaces.processes[count].bytes >= LEAST_PROCESS) {
		pids[count] = mover->spaces.processes[count].pid;
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

/* Pages on nodes of mask, the next ones in order and no hotter (colder) than limit; false at the round's end. */
static bool find(struct bede_mover *mover, struct bede_pages *pages, struct bede_hand *hand, bool hot,
		 uint64_t mask, unsigned limit)
{
	for (struct bede_range *range; (range = range_at(mover, hand, hot));) {
		if (hot ? range->heat < limit : range->heat > limit)
			return false;
		if (hand->at < range->start)
			hand->at = range->start;
		if (hand->at < range->end && !bede_pages_find(pages, range, &hand->at)) {
			if (bede_pages_on(pages, mask))
				return true;
			continue;
		}
		hand->index++;
		hand->at = 0;
	}
	return false;
}

/* Not more than the rate: what has been moved is waited for. */
static void pay(struct bede_mover *mover, uint64_t bytes)
{
	uint64_t now = now_us();

	if (mover->paid_us < now)
		mover->paid_us = now;
	if (mover->rate)
		mover->paid_us += bytes * 1000000 / mover->rate;
	if (mover->paid_us > now + SLICE_US)
		usleep((useconds_t)(mover->paid_us - now - SLICE_US));
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

static bool stopped(struct bede_mover *mover)
{
	pthread_mutex_lock(&mover->lock);
	bool stop = mover->stop;

	pthread_mutex_unlock(&mover->lock);
	return stop;
}

static void rest(struct bede_mover *mover)
{
	mover->rest_us = minimum(mover->rest_us ? mover->rest_us * 2 : BARREN_US, MOST_US);
	mover->barren_us = now_us() + mover->rest_us;
}

/* Demote the coldest, or promote the hottest. */
static void move(struct bede_mover *mover, uint64_t bytes, uint64_t from, bool hot)
{
	struct bede_hand *hand = hot ? &mover->hot : &mover->cold;
	int target = roomiest(hot ? mover->local_mask : mover->far_mask);
	uint64_t until = now_us() + SLICE_US, left = bytes, in_all = 0;
	bool began = !hand->index && !hand->at;

	while (left && now_us() < until && !stopped(mover)) {
		struct bede_hand before = *hand;

		if (!find(mover, &mover->pages, hand, hot, from, hot ? 0 : UINT32_MAX)) {
			/* What there is now may be elsewhere. */
			*hand = (struct bede_hand){ 0 };
			mover->read_us = 0;
			if (began && !in_all)
				rest(mover);
			break;
		}
		uint64_t moved = 0, there = bede_pages_on(&mover->pages, from);
		int err = bede_pages_move(&mover->pages, from, target, left, &moved);

		note(mover, hot ? 0 : moved, hot ? moved : 0);
		in_all += moved;
		left -= minimum(moved, left);
		if (moved && moved < there && hand->index == before.index && !left)
			hand->at = before.at;
		if (err == -ENOMEM || err == -EACCES || err == -EPERM) {
			rest(mover);
			break;
		}
	}
	if (in_all)
		mover->rest_us = 0;
}

/* Make room for hot pages by cold ones, as long as that is worth it. */
static void exchange(struct bede_mover *mover, uint64_t bytes)
{
	int far = roomiest(mover->far_mask), local = roomiest(mover->local_mask);
	uint64_t left = bytes;

	if (!mover->heat_us || now_us() > mover->heat_us + FRESH_US)
		return;
	mover->cold = mover->hot = (struct bede_hand){ 0 };
	while (left && !stopped(mover) &&
	       find(mover, &mover->others, &mover->hot, true, mover->far_mask, BEDE_UNKNOWN_HEAT + 1)) {
		unsigned heat = range_at(mover, &mover->hot, true)->heat;
		uint64_t wanted = minimum(bede_pages_on(&mover->others, mover->far_mask), left);
		uint64_t room = 0, promoted = 0;

		while (room < wanted &&
		       find(mover, &mover->pages, &mover->cold, false, mover->local_mask, heat - CONTRAST))
			if (bede_pages_move(&mover->pages, mover->local_mask, far, wanted - room, &room))
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
	if (!ask->look && !ask->exchange && !ask->fresh && now_us() < mover->barren_us)
		return;
	refresh(mover, ask->look);
	if (ask->demote) {
		if (ask->fresh && now_us() > mover->tried_us + FRESH_US)
			measure(mover);
		move(mover, ask->demote, ask->from, false);
	} else if (ask->exchange) {
		measure(mover);
		exchange(mover, ask->exchange);
	} else if (ask->promote) {
		move(mover, ask->promote, mover->far_mask, true);
	}
}

static void *run(void *argument)
{
	struct bede_mover *mover = argument;
	const uint64_t one = 1;

	pthread_mutex_lock(&mover->lock);
	while (!mover->stop) {
		if (!mover->busy) {
			pthread_cond_wait(&mover->wanted, &mover->lock);
			continue;
		}
		struct bede_ask ask = mover->ask;

		/* A measurement that demotion does not wait for ends when there is some. */
		mover->measuring = 1;
		pthread_mutex_unlock(&mover->lock);
		work(mover, &ask);
		pthread_mutex_lock(&mover->lock);
		mover->moved.used_us = cpu_us();
		mover->busy = false;
		if (mover->wake >= 0)
			(void)!write(mover->wake, &one, sizeof(one));
	}
	pthread_mutex_unlock(&mover->lock);
	return NULL;
}

int bede_mover_start(struct bede_mover *mover, int dir, int wake, uint64_t local_mask, uint64_t far_mask,
		     uint64_t rate)
{
	pthread_attr_t attributes;

	mover->dir = dir;
	mover->wake = wake;
	mover->local_mask = local_mask;
	mover->far_mask = far_mask;
	mover->rate = rate;
	bede_pages_open(&mover->pages);
	bede_pages_open(&mover->others);
	pthread_mutex_init(&mover->lock, NULL);
	pthread_cond_init(&mover->wanted, NULL);
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, 256 * 1024);
	int err = -pthread_create(&mover->thread, &attributes, run, mover);

	pthread_attr_destroy(&attributes);
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

void bede_mover_stop(struct bede_mover *mover)
{
	if (!mover->running)
		return;
	pthread_mutex_lock(&mover->lock);
	mover->stop = true;
	mover->measuring = 0;
	pthread_cond_signal(&mover->wanted);
	pthread_mutex_unlock(&mover->lock);
	pthread_join(mover->thread, NULL);
	pthread_cond_destroy(&mover->wanted);
	pthread_mutex_destroy(&mover->lock);
	bede_pages_close(&mover->pages);
	bede_pages_close(&mover->others);
	bede_spaces_free(&mover->spaces);
	free(mover->heat.at);
	mover->running = false;
}
