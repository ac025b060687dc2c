/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "mover.h"

#include <errno.h>
#include <string.h>

#include "reclaim.h"
#include "roomiest.h"
#include "thread.h"
#include "units.h"

#define SLICE_US 30000	 /* most time for one task, since what is needed may have changed by then */
#define BARREN_US 40000	 /* first rest after a whole round that moved nothing; further ones double ... */
#define MOST_US 2000000	 /* ... up to this */
#define SOON_S 5	 /* what was prepared for measuring is kept for a next time within so many seconds */
#define FRESH_US 3000000 /* heat that was measured so recently still holds */
/* Most page cache to demote at a time: one of so many parts of the bound, or so many bytes if that is more. */
#define CACHE_PARTS 16
#define CACHE_LEAST (256 * 1024ULL)
#define FILL_US 1000000	  /* until free room is filled again, ... */
#define FILL_COST 100	  /* ... or so many times the CPU time that it took */
#define RETRY_US 500000	  /* until a source of heat is tried again that somebody else uses */
#define NEVER_US 60000000 /* the same where the kernel has no source: it may get one */
/* A ticket is no larger than what a CPU's batches may hide anyway (limit() in control.c): move_pages has a fixed cost. */
#define TICKET_PARTS 128
#define TICKET_MOST (512 * PAGE)
#define TICKET_LEAST (16 * PAGE)

static uint64_t cpu_us(void)
{
	struct timespec time;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
	return (uint64_t)time.tv_sec * 1000000 + (uint64_t)time.tv_nsec / 1000;
}

static bool stopped(void *context)
{
	struct bede_mover *mover = context;

	pthread_mutex_lock(&mover->lock);
	bool stop = mover->stop;

	pthread_mutex_unlock(&mover->lock);
	return stop;
}

static void refresh(struct bede_mover *mover, bool now)
{
	if (!bede_search_refresh(&mover->search, now))
		return;
	/* Open processes again at the next search: one may have executed another program since. */
	bede_pages_close(&mover->pages);
	bede_pages_close(&mover->others);
	pthread_mutex_lock(&mover->lock);
	mover->moved.program_bound = mover->search.vmas.program_bound;
	mover->moved.looks++;
	pthread_mutex_unlock(&mover->lock);
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
	struct bede_hand *hand = hot ? &mover->search.hot : &mover->search.cold;
	int target = bede_roomiest(to);
	uint64_t until = now_us() + SLICE_US, left = bytes;

	while (left) {
		struct bede_hand before = *hand;
		int found = bede_search_collect(&mover->search, &mover->pages, hot, from,
						hot ? 0 : UINT32_MAX, left, until);

		if (found < 0)
			break;
		if (!found) {
			/* End of the round. The next begins with a new list: memory may have changed. */
			if (!hand->moved)
				rest(mover);
			*hand = (struct bede_hand){ 0 };
			mover->search.read_us = 0;
			break;
		}
		uint64_t moved = 0;
		size_t count = bede_pages_within(&mover->pages, left);

		count += !count;
		int err = bede_pages_move(&mover->pages, count, target, &moved);

		bede_pages_drop(&mover->pages, 0, count);
		note(mover, hot ? 0 : moved, hot ? moved : 0);
		if (moved) {
			hand->moved = true;
			mover->rest_us = 0;
		}
		left -= minimum(moved, left);
		if (moved && mover->pages.count && !left) {
			hand->index = before.index;
			hand->at = before.at;
		}
		if (err == -ENOMEM || err == -EACCES || err == -EPERM) {
			rest(mover);
			break;
		}
	}
}

static void paid(void *context, uint64_t demoted, uint64_t promoted)
{
	note(context, demoted, promoted);
}

static struct bede_exchange_ask exchange_ask(struct bede_mover *mover, const struct bede_ask *ask)
{
	uint64_t ticket = minimum(ask->bound / TICKET_PARTS, TICKET_MOST);

	return (struct bede_exchange_ask){ .heat = { .bound = ask->bound,
						     .huge = ask->huge,
						     .wanted = &mover->measuring,
						     .kept = &mover->kept },
					   .most = ask->exchange,
					   .ticket = ticket > TICKET_LEAST ? ticket : TICKET_LEAST,
					   .local_mask = ask->to,
					   .far_mask = mover->far_mask,
					   .paid = paid,
					   .context = mover };
}

static int measure(struct bede_mover *mover, const struct bede_exchange_ask *ask)
{
	uint64_t kernel_us = 0;

	pthread_mutex_lock(&mover->lock);
	mover->moved.measuring = true;
	pthread_mutex_unlock(&mover->lock);
	int err = bede_exchange_measure(&mover->exchange, ask, &kernel_us);

	mover->kernel_us += kernel_us;
	pthread_mutex_lock(&mover->lock);
	mover->moved.measuring = false;
	mover->moved.measured += !err;
	pthread_mutex_unlock(&mover->lock);
	return err;
}

/* before_us is the CPU time before this task. */
static void exchange(struct bede_mover *mover, const struct bede_ask *task, uint64_t before_us)
{
	struct bede_exchange_ask ask = exchange_ask(mover, task);
	int err = measure(mover, &ask);

	struct bede_hits hits = mover->moved.hits;

	if (!err) {
		bede_exchange_run(&mover->exchange, &ask);
		bede_hits_estimate(&mover->search, &mover->pages, mover->local_mask, mover->far_mask,
				   task->bound, &hits);
	}
	uint64_t used_us = cpu_us() + mover->kernel_us - before_us;
	uint64_t pause = err == -ENOENT ? NEVER_US : RETRY_US;

	if (!err) {
		uint64_t alone = bede_exchange_pause(&mover->exchange, used_us);

		pause = bede_heat_reserve(alone);
		bede_exchange_wait(&mover->exchange, pause - minimum(alone, pause));
	}
	if (pause > SOON_S * 1000000ULL)
		bede_heat_let_go(&mover->kept);
	mover->search.due_us = now_us() + pause;
	pthread_mutex_lock(&mover->lock);
	mover->moved.due_us = mover->search.due_us;
	mover->moved.fill_us = now_us() + FILL_US;
	mover->moved.vain += err ? 0 : mover->exchange.bytes_vain;
	mover->moved.hits = hits;
	pthread_mutex_unlock(&mover->lock);
}

/* Room that came free after the last exchange does not wait for the next one. before_us is the CPU time before this task. */
static void fill(struct bede_mover *mover, const struct bede_ask *task, uint64_t before_us)
{
	struct bede_exchange_ask ask = exchange_ask(mover, task);

	ask.most = task->fill;
	bede_exchange_fill(&mover->exchange, &ask);
	uint64_t pause = (cpu_us() + mover->kernel_us - before_us) * FILL_COST;
	pthread_mutex_lock(&mover->lock);
	mover->moved.fill_us = now_us() + (pause > FILL_US ? pause : FILL_US);
	if (!mover->exchange.bytes_promoted)
		mover->moved.full_us = now_us();
	mover->moved.vain += mover->exchange.bytes_vain;
	pthread_mutex_unlock(&mover->lock);
}

/* Have the kernel demote page cache, which counts that itself. False if that came to little. */
static bool demote_cache(struct bede_mover *mover, const struct bede_ask *ask)
{
	uint64_t most = ask->bound / CACHE_PARTS, left = ask->demote, until = now_us() + SLICE_US;

	while (left && now_us() < until && !stopped(mover)) {
		uint64_t part = minimum(left, most > CACHE_LEAST ? most : CACHE_LEAST), demoted = 0;

		(void)bede_reclaim_cache(mover->search.dir, part, ask->swap_closed, &demoted);
		note(mover, 0, 0);
		pay(mover, demoted);
		if (demoted < part / 2)
			return false;
		left -= part;
	}
	return true;
}

static void work(struct bede_mover *mover, const struct bede_ask *ask)
{
	uint64_t before_us = cpu_us() + mover->kernel_us;

	if (ask->demote && ask->cache && demote_cache(mover, ask)) {
		mover->rest_us = 0;
		return;
	}
	refresh(mover, ask->look);
	if (ask->demote) {
		struct bede_exchange_ask heat = exchange_ask(mover, ask);

		heat.heat.soon = true;
		if (ask->fresh && now_us() > mover->search.heat_us + FRESH_US)
			(void)measure(mover, &heat);
		move(mover, ask->demote, ask->from, mover->far_mask, false);
	} else if (ask->exchange) {
		exchange(mover, ask, before_us);
	} else if (ask->fill) {
		fill(mover, ask, before_us);
	} else if (ask->promote) {
		move(mover, ask->promote, mover->far_mask, ask->to, true);
	}
}

/* Wait for a task, under the lock. If none comes, since the container does nothing, give up what is kept for measuring. */
static void wait_for_task(struct bede_mover *mover)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += SOON_S + 1;
	if (!mover->kept) {
		pthread_cond_wait(&mover->wanted, &mover->lock);
	} else if (pthread_cond_timedwait(&mover->wanted, &mover->lock, &until) == ETIMEDOUT &&
		   !mover->busy) {
		pthread_mutex_unlock(&mover->lock);
		bede_heat_let_go(&mover->kept);
		pthread_mutex_lock(&mover->lock);
	}
}

static void *run(void *argument)
{
	struct bede_mover *mover = argument;

	pthread_mutex_lock(&mover->lock);
	while (!mover->stop) {
		if (!mover->busy) {
			wait_for_task(mover);
			continue;
		}
		struct bede_ask ask = mover->ask;

		/* bede_mover_ask sets this to 0 if there is something to demote during an exchange. */
		mover->measuring = 1;
		pthread_mutex_unlock(&mover->lock);
		work(mover, &ask);
		pthread_mutex_lock(&mover->lock);
		mover->moved.used_us = cpu_us() + mover->kernel_us;
		mover->busy = false;
		bede_wake(mover->wake);
	}
	pthread_mutex_unlock(&mover->lock);
	bede_heat_let_go(&mover->kept);
	return NULL;
}

int bede_mover_start(struct bede_mover *mover, int dir, const char *cgroup, int wake, uint64_t local_mask,
		     uint64_t far_mask, uint64_t rate, struct bede_ticket *ticket)
{
	/* Where a fence needs tickets there is a lower tier, and so no steering. */
	mover->search = (struct bede_search){ .dir = dir,
					      .local_mask = local_mask,
					      .stopped = stopped,
					      .context = mover,
					      .vmas = { .kept_out = ticket != NULL } };
	mover->exchange = (struct bede_exchange){
		.search = &mover->search, .cold = &mover->pages, .hot = &mover->others, .ticket = ticket
	};
	bede_exchange_open(&mover->exchange);
	mover->wake = wake;
	mover->local_mask = local_mask;
	mover->far_mask = far_mask;
	mover->rate = rate;
	bede_pages_open(&mover->pages, cgroup);
	bede_pages_open(&mover->others, cgroup);
	pthread_mutex_init(&mover->lock, NULL);
	pthread_cond_init(&mover->wanted, NULL);
	int err = bede_thread_start(&mover->thread, "bede-mover", 256, run, mover);

	mover->running = !err;
	if (!err)
		bede_heat_begin();
	return err;
}

bool bede_mover_ask(struct bede_mover *mover, const struct bede_ask *ask)
{
	pthread_mutex_lock(&mover->lock);
	bool idle = !mover->busy;

	if (!idle && ask->demote && mover->ask.exchange)
		mover->measuring = 0;
	if (idle && (ask->demote || ask->promote || ask->exchange || ask->fill || ask->look)) {
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

void bede_mover_publish(const struct bede_moved *moved, struct bede_stats *out)
{
	out->promoted = moved->promoted;
	out->program_bound = moved->program_bound;
	out->mover_us = moved->used_us;
	out->measured = moved->measured;
	out->vain = moved->vain;
	out->hits_local = moved->hits.local;
	out->hits_best = moved->hits.best;
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
	bede_search_free(&mover->search);
	bede_exchange_close(&mover->exchange);
	bede_heat_end();
	mover->running = false;
	return 0;
}
