/* SPDX-License-Identifier: Apache-2.0 */
/*
 * New processes, as the kernel's process connector tells of them (drivers/connector/cn_proc.c).
 *
 * Whoever subscribes to it is told of every fork, exec, exit and change of ids on the host. What
 * is of no use here is dropped by a socket filter, before it costs a wake-up: all but new
 * processes (not threads) and, where asked for, executed programs.
 */
#ifndef BEDE_BIRTHS_H
#define BEDE_BIRTHS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bede_procevent {
	uint32_t parent; /* the process that forked; 0 for an exec */
	uint32_t pid;
	int exec;	/* it executed a program, rather than being born */
	uint64_t at_ns; /* CLOCK_MONOTONIC */
};

/* One datagram of the connector. Whether it tells of a new process or of an executed program. */
bool bede_procevent_parse(const char *text, size_t length, struct bede_procevent *out);

/* What the subscribed socket fd shall tell of; neither: nothing. Returns 0 or a negative errno. */
int bede_procevents_filter(int fd, int forks, int execs);

/*
 * What is waiting in the socket, the oldest first, at most so many; 0 when there is nothing.
 * Returns 0, or -ENOBUFS where the kernel had to leave some out (those in out are valid).
 */
int bede_procevents_read(int fd, struct bede_procevent *out, unsigned most, unsigned *count);

#endif
