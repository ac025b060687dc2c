/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "holding.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>

#include "cpus.h"
#include "thread.h"
#include "units.h"

#define WRITE_US 100	      /* most time for a write to memory.high: see deadline.h */
#define SHARED_WAIT_US 100000 /* longest wait of an idle container that shares a limit with other cgroups */
#define TOLERATED 256	      /* numa_stat may be wrong by this part of the bound */
#define KERNEL_US 20000	      /* how old the size of kernel memory may be when it is used */
#define CPUS_US 1000000	      /* how old the number of CPUs may be: the user may change it */
#define LOWERING_US 5000000   /* time to get down to a lowered bound, as in the charts (watch/chart.py) */

/* Kernel memory changes slowly; only huge pages in flight make its exact size matter. */
static int measure_kernel(struct bede_holder *holder)
{
	const struct bede_control *control = &holder->control;

	if (holder->file.stat < 0)
		return 0;
	if (control->kernel != UINT64_MAX && control->huge_share < 0.05 &&
	    control->at_us < holder->kernel_us + KERNEL_US)
		return 0;
	holder->kernel_us = control->at_us;
	int err = bede_read(holder->file.stat, &holder->buffer);

	return err ? err :
		     bede_parse_kernel(holder->buffer.text, holder->buffer.length, &holder->control.kernel);
}

static void count_cpus(struct bede_holder *holder)
{
	uint64_t at_us = now_us();

	if (holder->cpus_us && at_us < holder->cpus_us + CPUS_US)
		return;
	holder->cpus_us = at_us;
	holder->control.cpus = bede_cpus(holder->file.dir);
}

static int measure(struct bede_holder *holder)
{
	struct bede_control *control = &holder->control;
	/* bede_idle_look has just read cpu.stat, which makes numa_stat exact on kernels such as 6.12. */
	int err = bede_read(holder->file.numa, &holder->buffer);

	if (!err)
		err = bede_parse_numa_stat(holder->buffer.text, holder->buffer.length, &control->numa);
	if (!err)
		err = measure_kernel(holder);
	if (err)
		return err;
	count_cpus(holder);
	bede_recount(&holder->recount, &control->numa, now_us(), holder->idle.current, control->kernel,
		     control->bound / TOLERATED);
	bede_control_observe(control, now_us(), holder->idle.current);
	return 0;
}

/* Note the user's own memory.high: any value that the holder did not write. */
static int note_user_high(struct bede_holder *holder)
{
	uint64_t high;
	int err = bede_read_u64(holder->file.high, &high);

	if (err || high == holder->last_fence)
		return err;
	if (holder->last_fence)
		holder->user_high = high;
	holder->last_fence = high;
	return 0;
}

/*
 * Whether tasks, which go on while this thread measures, are past this fence and past the one that stands. For what they are past a
 * fence that is written, many kernels have the writer reclaim (memory_high_write in mm/memcontrol.c), which is theirs to do.
 */
static bool tasks_are_past(const struct bede_holder *holder, uint64_t fence)
{
	uint64_t usage;

	return fence < holder->user_high && !bede_read_u64(holder->file.current, &usage) && usage > fence &&
	       usage >= holder->last_fence;
}

uint64_t bede_holder_end(const struct bede_holder *holder, uint64_t room)
{
	uint64_t usage = holder->control.current;

	return room ? usage + room : minimum(usage, holder->last_fence);
}

/*
 * Reads memory.high in every turn, even if the fence need not move: systemd writes all limits of a unit
 * when one of them changes ("docker update"), and its "max" would be no fence.
 */
int bede_holder_fence(struct bede_holder *holder, uint64_t fence)
{
	int err = note_user_high(holder);

	fence = minimum(fence, holder->user_high);
	if (fence != BEDE_NO_LIMIT)
		fence &= ~(PAGE - 1);
	if (err || fence == holder->last_fence || tasks_are_past(holder, fence))
		return err;
	bede_deadline_set(&holder->deadline, WRITE_US);
	err = bede_write_u64(holder->file.high, fence);
	bede_deadline_clear(&holder->deadline);
	if (!err)
		holder->last_fence = fence;
	return err;
}

/*
 * Note the highest overshoot of the bound in force at that time. What exceeds a bound that was just set does
 * not count before usage has once been within the bound, unless nothing can be demoted (the fence is lifted),
 * or LOWERING_US have passed.
 */
static void note_overshoot(struct bede_holder *holder)
{
	const struct bede_control *control = &holder->control;
	uint64_t over = control->local - minimum(control->local, control->bound);

	if (!holder->set_us)
		holder->set_us = control->at_us;
	if (!over || holder->lifted || control->at_us - holder->set_us > LOWERING_US)
		holder->met = true;
	if (holder->met && over > holder->stats.over)
		holder->stats.over = over;
}

static void publish(struct bede_holder *holder)
{
	const struct bede_control *control = &holder->control;
	struct bede_stats *stats = &holder->stats;

	stats->bound = control->bound;
	stats->local = control->local;
	stats->far = control->far;
	stats->current = control->current;
	stats->fence = holder->last_fence;
	/* Tell the owner at once of program-bound memory, a stall, unsteered tasks, changed limits. */
	bool placed = stats->program_bound && !holder->told;

	holder->told = holder->told || placed;
	if (placed || (holder->lifted && !stats->stalled) || (stats->steered && !holder->steered) ||
	    stats->user_high != holder->user_high || stats->user_swap_max != holder->swap.user_limit)
		bede_wake(holder->notify);
	stats->user_high = holder->user_high;
	stats->user_swap_max = holder->swap.user_limit;
	stats->stalled = holder->lifted;
	stats->steered = holder->steered;
	stats->rounds++;
	note_overshoot(holder);
}

/* Whether memory.high still has the value that the holder wrote last. */
static bool fence_stands(const struct bede_holder *holder)
{
	uint64_t high;

	return !bede_read_u64(holder->file.high, &high) && high == holder->last_fence;
}

/* One turn, under the lock. Sets *wait_us to the time until the next one, unless an event comes first. */
static int turn(struct bede_holder *holder, uint64_t *wait_us)
{
	int err = bede_idle_look(&holder->idle, holder->file.current, holder->file.cpu);

	uint64_t at_us = now_us();
	bool other = bede_shortage_look(&holder->shortage, at_us);

	holder->ceilings_room =
		bede_ceilings_room(&holder->ceilings, holder->idle.current, holder->user_high, at_us);
	other = other || (holder->swap.engaged && !holder->ceilings_room);
	bool idle = !err && !other && !holder->busy && bede_idle_is(&holder->idle) && fence_stands(holder);

	*wait_us = bede_idle_wait(&holder->idle);
	/* Another cgroup below a shared limit can use it up at any time. */
	if (holder->swap.engaged && holder->ceilings.shared)
		*wait_us = minimum(*wait_us, SHARED_WAIT_US);
	if (idle && !bede_idle_is_due(&holder->idle))
		return 0;
	if (!err)
		err = measure(holder);
	if (err)
		return err;
	uint64_t room;

	err = holder->ops->turn(holder, &room);
	publish(holder);
	if (!idle || holder->busy)
		*wait_us = bede_control_wait(&holder->control, room);
	return err;
}

static void *run(void *argument)
{
	struct bede_holder *holder = argument;
	struct pollfd wait[2] = { { .fd = holder->file.events, .events = POLLPRI },
				  { .fd = holder->wake, .events = POLLIN } };
	int err = bede_deadline_open(&holder->deadline);

	/* The container grows no faster than this thread moves the fence. So the thread has priority. */
	bede_thread_go_first();
	bool fenced = false;

	for (;;) {
		uint64_t wait_us = 0;

		pthread_mutex_lock(&holder->lock);
		bool stop = holder->stop;

		holder->stats.fence_events += fenced;
		holder->fenced = fenced;
		if (!stop && !err)
			err = turn(holder, &wait_us);
		holder->stats.error = err;
		pthread_mutex_unlock(&holder->lock);
		if (stop || err)
			break;
		fenced = false;
		struct timespec timeout = { .tv_sec = (time_t)(wait_us / 1000000),
					    .tv_nsec = (long)(wait_us % 1000000) * 1000 };

		if (ppoll(wait, 2, &timeout, NULL) > 0) {
			uint64_t count;

			holder->idle.still = 0;
			if (wait[0].revents & (POLLPRI | POLLERR)) {
				(void)bede_read(holder->file.events, &holder->buffer);
				fenced = true;
			}
			if (wait[1].revents & POLLIN)
				(void)!read(holder->wake, &count, sizeof(count));
		}
	}
	bede_deadline_close(&holder->deadline);
	if (err)
		bede_wake(holder->notify);
	return NULL;
}

static int open_at(int dir, const char *name, int flags, int *out)
{
	*out = openat(dir, name, flags | O_CLOEXEC | O_NOFOLLOW);
	return *out < 0 ? -errno : 0;
}

static int open_files(struct bede_holder *holder, int dir)
{
	struct bede_files *file = &holder->file;
	int err = open_at(dir, ".", O_RDONLY | O_DIRECTORY, &file->dir);

	if (!err)
		err = open_at(dir, "memory.current", O_RDONLY, &file->current);
	if (!err)
		err = open_at(dir, "memory.high", O_RDWR | O_NONBLOCK, &file->high);
	if (!err)
		err = open_at(dir, "memory.numa_stat", O_RDONLY, &file->numa);
	if (!err)
		err = open_at(dir, "memory.events", O_RDONLY, &file->events);
	if (!err)
		(void)open_at(dir, "cpu.stat", O_RDONLY, &file->cpu);
	if (!err)
		(void)open_at(dir, "memory.stat", O_RDONLY, &file->stat);
	/* memory.high now has the fence that the hook wrote, not a limit of the user's. */
	if (!err)
		err = bede_read_u64(file->high, &holder->last_fence);
	return err;
}

static void release(struct bede_holder *holder)
{
	int *fds[] = { &holder->file.dir,  &holder->file.current, &holder->file.high,	&holder->file.numa,
		       &holder->file.stat, &holder->file.cpu,	  &holder->file.events, &holder->wake };

	for (size_t i = 0; i < sizeof(fds) / sizeof(*fds); i++)
		bede_close(fds[i]);
	bede_swapguard_close(&holder->swap);
	bede_shortage_close(&holder->shortage);
	bede_ceilings_close(&holder->ceilings);
	bede_recount_close(&holder->recount);
	bede_buffer_free(&holder->buffer);
	pthread_mutex_destroy(&holder->lock);
	free(holder->lru_path);
	free(holder);
}

static int start_threads(struct bede_holder *holder, const struct bede_params *params)
{
	int err = holder->ops->create(holder, params);

	if (err)
		return err;
	err = bede_thread_start(&holder->thread, "bede-holder", 128, run, holder);
	if (err && holder->ops->destroy(holder) == -ETIMEDOUT)
		err = -ETIMEDOUT;
	return err;
}

int bede_holder_start(const struct bede_params *params, struct bede_holder **out)
{
	const struct bede_backend_ops *ops = bede_backend_find(params->backend);

	if (!ops)
		return -EINVAL;
	struct bede_holder *holder = calloc(1, sizeof(*holder));

	if (!holder)
		return -ENOMEM;
	holder->control.local_mask = params->local_mask;
	holder->control.far_mask = params->far_mask;
	holder->control.bound = params->bound;
	holder->control.kernel = UINT64_MAX;
	memcpy(holder->control.node_bound, params->node_bound, sizeof(params->node_bound));
	holder->user_high = params->user_high;
	holder->notify = params->notify_fd;
	holder->ops = ops;
	holder->file = (struct bede_files){ -1, -1, -1, -1, -1, -1, -1 };
	pthread_mutex_init(&holder->lock, NULL);
	bede_swapguard_open(&holder->swap, params->cgroup_fd, params->user_swap_max);
	bede_shortage_open(&holder->shortage, "/proc/meminfo");
	bede_ceilings_open(&holder->ceilings, params->cgroup_fd);
	holder->lru_path = strdup(params->lru_path);
	bede_recount_open(&holder->recount, params->cgroup_fd, params->lru_file, holder->lru_path);
	holder->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	int err = holder->wake < 0 ? -errno : 0;

	if (!err && !holder->lru_path)
		err = -ENOMEM;
	if (!err)
		err = open_files(holder, params->cgroup_fd);
	if (!err)
		err = start_threads(holder, params);
	if (!err)
		*out = holder;
	else if (err != -ETIMEDOUT) /* a thread that hangs still uses the holder */
		release(holder);
	return err;
}

int bede_holder_set(struct bede_holder *holder, uint64_t bound, const uint64_t *node_bound)
{
	pthread_mutex_lock(&holder->lock);
	uint64_t before = holder->control.bound;

	holder->control.bound = bound;
	memcpy(holder->control.node_bound, node_bound, sizeof(holder->control.node_bound));
	holder->stats.bound = bound;
	holder->met = false;
	holder->set_us = 0;
	if (holder->ops->set)
		holder->ops->set(holder, before);
	pthread_mutex_unlock(&holder->lock);
	bede_wake(holder->wake);
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
	bede_wake(holder->wake);
	pthread_join(holder->thread, NULL);
	err = holder->ops->destroy(holder);
	if (restore) {
		/* Lift the fence before opening swap: a task that waits at the fence would swap. */
		int not_written = bede_write_u64(holder->file.high, holder->user_high);

		bede_swapguard_update(&holder->swap, false);
		err = err ? err : not_written;
	}
	/* A thread that hangs in the kernel still uses the holder. */
	if (err != -ETIMEDOUT)
		release(holder);
	return err;
}
