/* SPDX-License-Identifier: Apache-2.0 */
/*
 * New processes, as reported by the kernel's process connector (drivers/connector/cn_proc.c).
 *
 * The connector reports every fork, exec, exit and change of ids on the host. A socket filter lets only new
 * processes (not threads) and, if wanted, executed programs through, so that other events wake nobody.
 */
#ifndef BEDE_PROCEVENTS_H
#define BEDE_PROCEVENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bede_procevent {
	uint32_t parent; /* the process that forked; 0 for an exec */
	uint32_t pid;
	int exec;	/* 1: it executed a program; 0: it was forked */
	uint64_t at_ns; /* CLOCK_MONOTONIC */
};

/* Parse a datagram of the connector. False if it reports neither a new process nor an executed program. */
bool bede_procevent_parse(const char *text, size_t length, struct bede_procevent *out);

/* Choose the events of the socket fd: forks, execs, both or none. Returns 0 or a negative errno. */
int bede_procevents_filter(int fd, int forks, int execs);

/*
 * Read the events that wait in the socket, oldest first, at most so many. Returns 0 or a negative errno;
 * -ENOBUFS if the kernel had to drop some (those in out are valid).
 */
int bede_procevents_read(int fd, struct bede_procevent *out, unsigned most, unsigned *count);

#endif
