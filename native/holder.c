#define _GNU_SOURCE
#include "holder.h"

#include "deadline.h"
#include "demoter.h"
#include "swapguard.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <time.h>

#define PAGE 4096ULL
#define MIB (1024 * 1024ULL)
#define HUGE_PAGE (2 * MIB)
#define CHARGE_BATCH 64 /* pages a CPU may have charged and not used (MEMCG_CHARGE_BATCH) */
#define MIN_WAIT_US 1000
#define MAX_WAIT_US 100000
#define WRITE_US 100   /* most time for a write to memory.high */
#define STALL_US 500000 /* when nothing has moved for so long ... */
#define STALL_TRIES 20	/* ... and so many commands, the fence is lifted ... */
#define LIFT_US 500000	/* ... for so long */
#define CALM_US 2000000 /* without anything to demote for so long, swapping is the user's own */

struct files {
	int current, high, numa, flush, events;
};

struct holder_state {
	struct bede_numa numa;
	uint64_t current, local, far, file, huge;
	uint64_t at_us;
	double rate;	   /* bytes a second by which the total grows; falls slowly */
	double file_share; /* of that growth, 0 to 1: page cache ... */
	double huge_share; /* ... and huge pages */
	uint64_t last_fence;
	double turn_s;	   /* seconds a turn takes; a running mean */
	uint64_t progress_us; /* when demotion last showed in the far usage ... */
	uint64_t progress_tries; /* ... and the demoter's tries until then */
	uint64_t lifted_until_us;
	uint64_t pressed_us; /* when there was last something to demote */
	bool met; /* the bound has been met since it was set */
};

struct bede_holder {
	pthread_t thread;
	pthread_mutex_t lock;
	int wake;
	bool stop;
	char *lru_path;
	struct files file;
	struct bede_demoter demoter;
	bool demotes;
	struct bede_buffer buffer;
	struct bede_deadline deadline;
	struct bede_swapguard swap;
	struct bede_params params;
	struct bede_stats stats;
	struct holder_state now;
};

static uint64_t now_us(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000 + (uint64_t)time.tv_nsec / 1000;
}

static uint64_t sum(const uint64_t *bytes, uint64_t mask)
{
	uint64_t total = 0;

	for (int node = 0; node < BEDE_MAX_NODES; node++)
		if (mask >> node & 1)
			total += bytes[node];
	return total;
}

static uint64_t minimum(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/*
 * How far below the bound the fence stands: what may be charged to a CPU already and used
 * without memory.current showing it, and how soft the fence is. The kernel lets a task go on
 * whose reclaim could not free enough, as long as the usage is little above memory.high; with
 * page cache, whose pages are often locked or dirty, that is a share of the bound.
 */
static uint64_t guard(const struct bede_holder *holder)
{
	uint64_t bound = holder->params.bound;
	uint64_t charged = minimum(holder->params.cpus * CHARGE_BATCH * PAGE, bound / 256);

	return charged + (uint64_t)((double)bound * 0.02 * holder->now.file_share);
}

/* One growth's share of another, followed slowly. */
static void follow(double *share, uint64_t part, uint64_t before, double growth)
{
	double more = part > before ? (double)(part - before) : 0;

	*share = *share * 0.9 + 0.1 * (more < growth ? more / growth : 1);
}

static void note_progress(struct bede_holder *holder)
{
	uint64_t asked;

	holder->now.progress_us = holder->now.at_us;
	if (holder->demotes)
		bede_demoter_count(&holder->demoter, &asked, &holder->now.progress_tries);
}

/* The total is read first: what is allocated between the two readings tightens the fence. */
static int measure(struct bede_holder *holder)
{
	struct holder_state *now = &holder->now;
	struct holder_state before = *now;
	char byte;
	int err = bede_read_u64(holder->file.current, &now->current);

	if (err)
		return err;
	/* Where reading cpu.stat flushes the statistics (6.12), numa_stat is then exact. */
	if (holder->file.flush >= 0 && pread(holder->file.flush, &byte, 1, 0) < 0)
		return -errno;
	err = bede_read(holder->file.numa, &holder->buffer);
	if (!err)
		err = bede_parse_numa_stat(holder->buffer.text, holder->buffer.length, &now->numa);
	if (err)
		return err;
	now->at_us = now_us();
	now->local = sum(now->numa.lru, holder->params.local_mask);
	now->far = sum(now->numa.lru, holder->params.far_mask);
	now->file = sum(now->numa.file, UINT64_MAX);
	now->huge = sum(now->numa.huge, UINT64_MAX);

	double seconds = (double)(now->at_us - before.at_us) / 1e6;

	if (seconds > 0 && before.at_us) {
		now->turn_s = now->turn_s * 0.9 + (seconds < 0.1 ? seconds : 0.1) * 0.1;
		double growth = now->current > before.current ? (double)(now->current - before.current) : 0;
		double rate = growth / seconds;

		now->rate = rate > now->rate ? rate : now->rate * 0.95 + rate * 0.05;
		if (growth > 0) {
			follow(&now->file_share, now->file, before.file, growth);
			follow(&now->huge_share, now->huge, before.huge, growth);
		}
	}
	if (now->far > before.far)
		note_progress(holder);
	return 0;
}

/* Bytes that may still be allocated locally before a bound is passed; 0 when one is. */
static uint64_t headroom(const struct bede_holder *holder)
{
	const struct bede_params *params = &holder->params;
	uint64_t limit = params->bound - guard(holder);
	uint64_t room = limit > holder->now.local ? limit - holder->now.local : 0;

	for (int node = 0; node < BEDE_MAX_NODES; node++) {
		uint64_t bound = params->node_bound[node];

		if (bound == BEDE_NO_LIMIT)
			continue;
		uint64_t used = holder->now.numa.lru[node];

		room = minimum(room, bound > used ? bound - used : 0);
	}
	return room;
}

/* The user's own memory.high: whatever stands there that the holder did not write. */
static int note_user_high(struct bede_holder *holder)
{
	uint64_t high;
	int err = bede_read_u64(holder->file.high, &high);

	if (!err && holder->now.last_fence && high != holder->now.last_fence)
		holder->params.user_high = high;
	return err;
}

static int move_fence(struct bede_holder *holder, uint64_t fence)
{
	fence = minimum(fence, holder->params.user_high);
	if (fence != BEDE_NO_LIMIT)
		fence &= ~(PAGE - 1);
	if (fence == holder->now.last_fence)
		return 0;
	int err = note_user_high(holder);

	if (err)
		return err;
	fence = minimum(fence, holder->params.user_high);
	bede_deadline_set(&holder->deadline, WRITE_US);
	err = bede_write_u64(holder->file.high, fence);
	bede_deadline_clear(&holder->deadline);
	if (!err)
		holder->now.last_fence = fence;
	return err;
}

/*
 * How far below the bound demotion starts: what may come before the next turns of the loop.
 * Page cache gets more, since a task that reclaims at the fence may drop some of it.
 */
static uint64_t margin(const struct bede_holder *holder, uint64_t bound)
{
	const struct holder_state *now = &holder->now;
	double most = (double)bound * (0.015 + 0.30 * now->file_share);
	double least = (double)bound * 0.005;
	double huge = minimum(holder->params.cpus * HUGE_PAGE, bound / 40);
	double want = now->rate * (now->turn_s * 4 + 0.005) * (1 + 4 * now->file_share);

	if (want > most)
		want = most;
	/* A task may be a whole huge page past the fence before it has to make room for it. */
	if (want < huge * now->huge_share)
		want = huge * now->huge_share;
	return (uint64_t)(want > least ? want : least);
}

/* The node that has to give pages, and how many bytes; 0 when none has. */
static uint64_t excess(const struct bede_holder *holder, int *node)
{
	const struct bede_params *params = &holder->params;
	uint64_t low = params->bound - guard(holder) - margin(holder, params->bound);
	uint64_t most = 0, largest = 0;

	for (int n = 0; n < BEDE_MAX_NODES; n++) {
		uint64_t used = holder->now.numa.lru[n];
		uint64_t bound = params->node_bound[n];

		if (!(params->local_mask >> n & 1))
			continue;
		if (bound != BEDE_NO_LIMIT) {
			uint64_t node_low = bound - margin(holder, bound);

			if (used > node_low && used - node_low > most) {
				most = used - node_low;
				*node = n;
			}
		}
		if (!most && used > largest) {
			largest = used;
			*node = n;
		}
	}
	if (!most && holder->now.local > low)
		most = holder->now.local - low;
	return most;
}

static void publish(struct bede_holder *holder)
{
	const struct holder_state *now = &holder->now;
	struct bede_stats *stats = &holder->stats;

	stats->bound = holder->params.bound;
	stats->local = now->local;
	stats->far = now->far;
	stats->current = now->current;
	stats->fence = now->last_fence;
	stats->user_high = holder->params.user_high;
	stats->stalled = now->lifted_until_us > now->at_us;
	stats->rounds++;
	/* After the bound is lowered, the way down to it is no overshoot. */
	if (now->local <= holder->params.bound)
		holder->now.met = true;
	if (now->met && now->local > stats->max_local)
		stats->max_local = now->local;
}

/* Nothing moves although all is asked for: far is full or the pages cannot move. */
static bool stalled(const struct bede_holder *holder)
{
	const struct holder_state *now = &holder->now;

	return now->at_us - now->progress_us > STALL_US &&
	       holder->stats.tries - now->progress_tries > STALL_TRIES;
}

static void demote(struct bede_holder *holder, uint64_t room)
{
	int node = -1;
	uint64_t bytes = excess(holder, &node);
	uint64_t chunk = minimum(holder->params.bound / 128 / PAGE + 16, 512);

	if (node < 0 || !holder->demotes)
		return;
	/* The second thread helps when half of the margin is used up. */
	bede_demoter_ask(&holder->demoter, node, (bytes + PAGE - 1) / PAGE, chunk,
			 bytes > room ? BEDE_DEMOTERS : 1);
	bede_demoter_count(&holder->demoter, &holder->stats.demoted, &holder->stats.tries);
	holder->stats.demoted *= PAGE;
	if (bytes)
		holder->now.pressed_us = holder->now.at_us;
	if (room || !bytes)
		note_progress(holder);
}

/*
 * The total at which the bound would be passed. Not beyond what the swap guard can watch: near
 * the user's own memory.max the kernel must be able to swap again before it is reached.
 */
static uint64_t fence(const struct bede_holder *holder, uint64_t room)
{
	uint64_t total = holder->now.current + room;

	if (!holder->swap.engaged)
		return total;
	uint64_t ceiling = bede_swapguard_ceiling(&holder->swap);

	return holder->now.current < ceiling ? minimum(total, ceiling) : total;
}

/* One turn, under the lock. wait_us is how long nothing need be done. */
static int turn(struct bede_holder *holder, uint64_t *wait_us)
{
	struct holder_state *now = &holder->now;
	int err = measure(holder);

	if (err)
		return err;
	uint64_t room = headroom(holder);

	demote(holder, room);
	if (now->lifted_until_us <= now->at_us && stalled(holder)) {
		now->lifted_until_us = now->at_us + LIFT_US;
		holder->stats.stalls++;
		note_progress(holder);
	}
	bool lifted = now->lifted_until_us > now->at_us;
	bool pressed = now->pressed_us && now->at_us - now->pressed_us < CALM_US;

	bede_swapguard_update(&holder->swap, pressed && !lifted, now->current);
	err = move_fence(holder, lifted ? BEDE_NO_LIMIT : fence(holder, room));
	publish(holder);

	double ahead = now->rate > 0 ? (double)room / now->rate / 4 * 1e6 : MAX_WAIT_US;

	*wait_us = ahead > MAX_WAIT_US ? MAX_WAIT_US : ahead < MIN_WAIT_US ? MIN_WAIT_US : (uint64_t)ahead;
	return err;
}

static void *run(void *argument)
{
	struct bede_holder *holder = argument;
	struct pollfd wait[2] = { { .fd = holder->file.events, .events = POLLPRI },
				  { .fd = holder->wake, .events = POLLIN } };
	int err = 0;

	/* Every page of the container's growth waits for this thread: it goes first. */
	(void)setpriority(PRIO_PROCESS, 0, -20);
	err = bede_deadline_open(&holder->deadline);
	while (!err) {
		uint64_t wait_us = MIN_WAIT_US;

		pthread_mutex_lock(&holder->lock);
		bool stop = holder->stop;

		if (!stop)
			err = turn(holder, &wait_us);
		pthread_mutex_unlock(&holder->lock);
		if (stop || err)
			break;
		struct timespec timeout = { .tv_sec = 0, .tv_nsec = (long)wait_us * 1000 };

		if (ppoll(wait, 2, &timeout, NULL) > 0) {
			uint64_t count;

			if (wait[0].revents & (POLLPRI | POLLERR)) {
				(void)bede_read(holder->file.events, &holder->buffer);
				holder->stats.fence_events++;
			}
			if (wait[1].revents & POLLIN)
				(void)!read(holder->wake, &count, sizeof(count));
		}
	}
	bede_deadline_close(&holder->deadline);
	holder->stats.error = err;
	return NULL;
}

static int open_at(int dir, const char *name, int flags, int *out)
{
	*out = openat(dir, name, flags | O_CLOEXEC | O_NOFOLLOW);
	return *out < 0 ? -errno : 0;
}

static void release(struct bede_holder *holder)
{
	int *fds[] = { &holder->file.current, &holder->file.high, &holder->file.numa,
		       &holder->file.flush,   &holder->file.events, &holder->wake };

	for (size_t i = 0; i < sizeof(fds) / sizeof(*fds); i++)
		bede_close(fds[i]);
	bede_swapguard_close(&holder->swap);
	bede_buffer_free(&holder->buffer);
	pthread_mutex_destroy(&holder->lock);
	free(holder->lru_path);
	free(holder);
}

static int open_files(struct bede_holder *holder)
{
	const struct bede_params *params = &holder->params;
	struct files *file = &holder->file;
	int err = open_at(params->cgroup_fd, "memory.current", O_RDONLY, &file->current);

	if (!err)
		err = open_at(params->cgroup_fd, "memory.high", O_RDWR | O_NONBLOCK, &file->high);
	if (!err)
		err = open_at(params->cgroup_fd, "memory.numa_stat", O_RDONLY, &file->numa);
	if (!err)
		err = open_at(params->cgroup_fd, "memory.events", O_RDONLY, &file->events);
	if (!err)
		(void)open_at(params->cgroup_fd, "cpu.stat", O_RDONLY, &file->flush);
	return err;
}

int bede_holder_start(const struct bede_params *params, struct bede_holder **out)
{
	struct bede_holder *holder = calloc(1, sizeof(*holder));
	pthread_attr_t attributes;

	if (!holder)
		return -ENOMEM;
	holder->params = *params;
	holder->file = (struct files){ -1, -1, -1, -1, -1 };
	pthread_mutex_init(&holder->lock, NULL);
	holder->lru_path = strdup(params->lru_path);
	holder->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	int err = holder->lru_path ? open_files(holder) : -ENOMEM;

	if (!err && holder->wake < 0)
		err = -errno;
	if (!err)
		/* The fence that the hook left behind is ours, not the user's. */
		err = bede_read_u64(holder->file.high, &holder->now.last_fence);
	bede_swapguard_open(&holder->swap, err ? -1 : params->cgroup_fd, params->user_swap_max);
	if (!err && params->lru_file) {
		err = bede_demoter_start(&holder->demoter, params->lru_file, holder->lru_path, params->far_mask);
		holder->demotes = !err;
	}
	if (!err) {
		pthread_attr_init(&attributes);
		pthread_attr_setstacksize(&attributes, 128 * 1024);
		err = -pthread_create(&holder->thread, &attributes, run, holder);
		pthread_attr_destroy(&attributes);
	}
	if (err) {
		if (holder->demotes)
			bede_demoter_stop(&holder->demoter);
		release(holder);
		return err;
	}
	*out = holder;
	return 0;
}

static void wake(struct bede_holder *holder)
{
	uint64_t one = 1;

	(void)!write(holder->wake, &one, sizeof(one));
}

int bede_holder_set(struct bede_holder *holder, uint64_t bound, const uint64_t *node_bound)
{
	pthread_mutex_lock(&holder->lock);
	holder->params.bound = bound;
	memcpy(holder->params.node_bound, node_bound, sizeof(holder->params.node_bound));
	holder->stats.max_local = 0;
	holder->now.met = false;
	pthread_mutex_unlock(&holder->lock);
	wake(holder);
	return 0;
}

void bede_holder_stats(struct bede_holder *holder, struct bede_stats *out)
{
	pthread_mutex_lock(&holder->lock);
	*out = holder->stats;
	pthread_mutex_unlock(&holder->lock);
}

int bede_holder_stop(struct bede_holder *holder, int restore)
{
	int err = 0;

	pthread_mutex_lock(&holder->lock);
	holder->stop = true;
	pthread_mutex_unlock(&holder->lock);
	wake(holder);
	pthread_join(holder->thread, NULL);
	if (holder->demotes)
		bede_demoter_stop(&holder->demoter);
	bede_swapguard_update(&holder->swap, false, 0);
	if (restore)
		err = bede_write_u64(holder->file.high, holder->params.user_high);
	release(holder);
	return err;
}
