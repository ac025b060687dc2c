/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "steering.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "holding.h"
#include "units.h"

#define AHEAD_S 0.008	 /* seconds of growth that may arrive before the tasks' policies have changed */
#define OPEN_US 500000	 /* most time that a fence holds back tasks that are not away yet */
#define SOME_HUGE 0.2	 /* huge pages count from this share of the growth; a program's start has less */
#define SOME_FILE 0.3	 /* page cache counts from this share of the growth */
#define MOST_RETURNS 15U /* further returns do not make the next one later */
#define SOME_TASKS 4	 /* assumed number of tasks if pids.current cannot be read */
#define MIB (1024 * 1024ULL)

/* Bytes free on the local nodes, or in page cache, which can be dropped. UINT64_MAX if unknown. */
static uint64_t available(const struct bede_steering *steering, struct bede_buffer *buffer, uint64_t *total)
{
	static const struct {
		const char *name;
		bool is_total;
	} lines[] = { { " MemTotal:", true },
		      { " MemFree:", false },
		      { " Active(file):", false },
		      { " Inactive(file):", false } };
	uint64_t sum = 0;

	*total = 0;
	for (int node = 0; node < BEDE_MAX_NODES; node++) {
		if (steering->meminfo[node] < 0)
			continue;
		if (bede_read(steering->meminfo[node], buffer))
			return UINT64_MAX;
		for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++) {
			const char *at = strstr(buffer->text, lines[i].name);

			if (at)
				*(lines[i].is_total ? total : &sum) +=
					strtoull(at + strlen(lines[i].name), NULL, 10) * 1024;
		}
	}
	return *total ? sum : UINT64_MAX;
}

void bede_steering_look_around(struct bede_steering *steering, struct bede_holder *holder)
{
	uint64_t total, growth = (uint64_t)(holder->control.rate * 0.2);

	steering->available = available(steering, &holder->buffer, &total);
	steering->reserve = total / 32 + minimum(growth, total / 8);
}

/*
 * How many bytes below the bound the tasks are sent away: as much as they may allocate until their policies
 * have changed. After a write to cpuset.mems the kernel changes the policies one after the other, and waits
 * for each task that is filling a huge page. With more tasks than CPUs that takes long, and tasks that were not
 * changed yet still get local huge pages. So there is more room for each task where the growth is huge pages.
 */
static uint64_t margin(const struct bede_steering *steering, const struct bede_control *control)
{
	double bound = (double)control->bound, want = control->rate * AHEAD_S;
	double least = bound * (0.005 + 0.01 * control->file_share), most = bound * 0.03;
	uint64_t tasks = SOME_TASKS;

	if (control->huge_share > 0.01 && steering->pids >= 0)
		(void)bede_read_u64(steering->pids, &tasks);
	double huge = (double)minimum(tasks * 24 * MIB, control->bound / 4) * control->huge_share;

	return (uint64_t)((want < least ? least : want > most ? most : want) + huge);
}

static bool should_leave(const struct bede_steering *steering, const struct bede_holder *holder,
			 uint64_t room)
{
	const struct bede_control *control = &holder->control;

	/* The event may come from the user's own memory.high, so it counts only near the bound. */
	return room <= margin(steering, control) || (holder->fenced && room < control->bound / 8) ||
	       steering->available < steering->reserve;
}

/*
 * Whether the tasks may come home: all of the container has fitted into the bound for some time, longer
 * after each return; the mover has promoted what it could; and no memory is program-bound, since on the way
 * home the kernel migrates all far memory.
 */
static bool may_return(struct bede_steering *steering, const struct bede_control *control,
		       const struct bede_moved *moved, struct bede_ask *ask)
{
	if (control->current > control->bound - control->bound / 4 ||
	    steering->available < control->far + 4 * steering->reserve) {
		steering->calm_us = 0;
		return false;
	}
	if (!steering->calm_us || moved->promoted != steering->promoted) {
		steering->calm_us = control->at_us;
		steering->looks = moved->looks;
		steering->promoted = moved->promoted;
	}
	if (control->at_us - steering->calm_us < CALM_US * (1 + minimum(steering->returns, MOST_RETURNS)))
		return false;
	if (moved->looks == steering->looks) {
		ask->look = true;
		return false;
	}
	if (!moved->program_bound)
		return true;
	steering->calm_us = control->at_us;
	steering->looks = moved->looks;
	return false;
}

/* Send the tasks away, or home. False if the switcher is still at work; the next turn tries again. */
static bool go(struct bede_steering *steering, bool away)
{
	if (steering->switching || !bede_switcher_go(&steering->switcher, away))
		return false;
	steering->switching = true;
	steering->is_away = away;
	steering->returns += !away;
	steering->calm_us = 0;
	return true;
}

bool bede_steering_turn(struct bede_steering *steering, struct bede_holder *holder, uint64_t room,
			const struct bede_moved *moved, struct bede_ask *ask)
{
	const struct bede_control *control = &holder->control;
	bool gone = false;
	int err = 0;

	if (steering->switching && bede_switcher_done(&steering->switcher, &err)) {
		steering->switching = false;
		steering->waits_us = 0;
	}
	if (err || !holder->steered) {
		holder->steered = false;
		return false;
	}
	/* systemd may have cleared cpuset.mems for another unit in the slice: then the tasks are away. */
	if (!steering->is_away && !steering->switching && bede_switcher_look(&steering->switcher) == 1) {
		steering->is_away = true;
		steering->calm_us = 0;
	}
	bede_steering_look_around(steering, holder);
	if (!steering->is_away && should_leave(steering, holder, room)) {
		gone = go(steering, true);
		steering->waits_us = steering->waits_us ? steering->waits_us : control->at_us;
	} else if (steering->is_away && !steering->switching && may_return(steering, control, moved, ask)) {
		gone = go(steering, false);
	}
	return gone;
}

bool bede_steering_is_hindered(const struct bede_steering *steering, const struct bede_control *control)
{
	return steering->waits_us && (control->huge_share > SOME_HUGE || control->file_share > SOME_FILE ||
				      control->at_us - steering->waits_us > OPEN_US);
}

void bede_steering_open(struct bede_steering *steering, int dir, uint64_t local_mask)
{
	char path[64];

	*steering = (struct bede_steering){ .switcher.fd = -1 };
	steering->pids = openat(dir, "pids.current", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	for (int node = 0; node < BEDE_MAX_NODES; node++) {
		steering->meminfo[node] = -1;
		if (!(local_mask >> node & 1))
			continue;
		(void)snprintf(path, sizeof(path), "/sys/devices/system/node/node%d/meminfo", node);
		steering->meminfo[node] = open(path, O_RDONLY | O_CLOEXEC);
	}
}

int bede_steering_start(struct bede_steering *steering, int dir, int wake, const char *home, const char *away,
			bool *steered)
{
	int fd = openat(dir, "cpuset.mems", O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	int err = fd < 0 ? -errno : 0;

	err = err ? err : bede_switcher_start(&steering->switcher, fd, wake, home, away);
	if (err)
		return err;
	/* An earlier agent may have left either list. A list of another program's stays. */
	int there = bede_switcher_look(&steering->switcher);

	steering->is_away = there == 1;
	*steered = there >= 0;
	return 0;
}

int bede_steering_stop(struct bede_steering *steering, bool away)
{
	return bede_switcher_stop(&steering->switcher, away);
}

void bede_steering_close(struct bede_steering *steering)
{
	bede_close(&steering->pids);
	for (int node = 0; node < BEDE_MAX_NODES; node++)
		bede_close(&steering->meminfo[node]);
}
