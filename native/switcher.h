/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes a cgroup's cpuset.mems in a separate thread, because a write may take long: the kernel rebinds
 * each task's policies, for which it waits for locks that the container holds, and migrates pages when the
 * tasks come home.
 */
#ifndef BEDE_SWITCHER_H
#define BEDE_SWITCHER_H

#include <pthread.h>
#include <stdbool.h>

#define BEDE_LIST 256 /* most characters of a list of nodes */

struct bede_switcher {
	pthread_mutex_t lock;
	pthread_cond_t wanted;
	pthread_t thread;
	bool running;
	bool stop;
	bool last; /* write the second list at the end */
	bool busy;
	int err;		 /* result of the last write */
	int fd;			 /* cpuset.mems, or -1 */
	int wake;		 /* an eventfd that is written to after each write of a list */
	bool to;		 /* the list to write: false the first, true the second */
	char list[2][BEDE_LIST]; /* each with a newline, in the kernel's format */
};

/* The switcher takes over fd and copies the lists; wake stays the caller's. Returns 0 or a negative errno. */
int bede_switcher_start(struct bede_switcher *switcher, int fd, int wake, const char *first,
			const char *second);

/* Write the first or the second list; false while one is being written. Never blocks for long. */
bool bede_switcher_go(struct bede_switcher *switcher, bool second);

/*
 * Whether the write is done; then *err is 0 or a negative errno; -ESTALE: the file had neither of the two
 * lists, and was not changed.
 */
bool bede_switcher_done(struct bede_switcher *switcher, int *err);

/* The list in the file, 0 or 1 (1 also if it is empty: all nodes), or a negative errno as above. */
int bede_switcher_look(const struct bede_switcher *switcher);

/*
 * End the thread, after it has written the second list if second is set. Returns 0, or -ETIMEDOUT if a
 * write does not return: then the switcher itself stays in use for ever.
 */
int bede_switcher_stop(struct bede_switcher *switcher, bool second);

#endif
