/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing a cgroup's cpuset.mems, in a thread of its own: the kernel rebinds each task's policies
 * then, which waits for locks that the container has, and migrates what is to come home.
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
	bool last; /* the second list is to be there at the end */
	bool busy;
	int err;		 /* of the last write */
	int fd;			 /* cpuset.mems, or -1 */
	int wake;		 /* an eventfd, told when it has been written */
	bool to;		 /* the list that is wanted */
	char list[2][BEDE_LIST]; /* with a line's end, as the kernel writes them */
};

/* fd becomes the switcher's and the lists are copied, wake stays the caller's. Returns 0 or a negative errno. */
int bede_switcher_start(struct bede_switcher *switcher, int fd, int wake, const char *first,
			const char *second);

/* Write the first or the second list, unless one is being written: then false. Never blocks for long. */
bool bede_switcher_go(struct bede_switcher *switcher, bool second);

/*
 * Whether it is done, and how it went: 0, or a negative errno, -ESTALE where there was neither of the
 * lists but another one, which stays.
 */
bool bede_switcher_done(struct bede_switcher *switcher, int *err);

/* Which of the lists is there; none is the second, since all nodes are. Returns 0, 1 or a negative errno as above. */
int bede_switcher_look(const struct bede_switcher *switcher);

/*
 * End, with the second list at last if that is wanted. Returns 0, or -ETIMEDOUT where a write does not
 * return: then switcher itself stays in use for ever.
 */
int bede_switcher_stop(struct bede_switcher *switcher, bool second);

#endif
