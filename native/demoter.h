/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Demotion in the background: a few threads for each container, which demote as many pages as the holder
 * asks for.
 *
 * Ageing walks page tables, and migration copies pages; the thread that moves the fence must not wait for
 * either. There are several threads, because a container may allocate on every CPU.
 */
#ifndef BEDE_DEMOTER_H
#define BEDE_DEMOTER_H

#include <pthread.h>
#include <stdbool.h>

#include "lru.h"

#define BEDE_DEMOTERS 2

struct bede_demoter;

struct bede_demoter_thread {
	struct bede_demoter *demoter;
	pthread_t thread;
	struct bede_lru lru;
	bool running;
};

struct bede_demoter {
	pthread_mutex_t lock;
	pthread_cond_t wanted;
	bool stop;
	int node;	  /* to demote from */
	unsigned threads; /* how many may demote at once */
	bool prepare;	  /* the first thread has to age pages, so that the reserve is old enough */
	uint64_t pages;	  /* still to be demoted, by commands that come */
	uint64_t moving;  /* pages of the commands that the kernel works on */
	uint64_t chunk;	  /* most pages in one lru_gen command */
	uint64_t reserve; /* pages that must be old enough to be demoted at all times */
	uint64_t asked;	  /* pages that the kernel was told to demote since the start */
	uint64_t tries;	  /* commands since the start */
	struct bede_demoter_thread pool[BEDE_DEMOTERS];
};

/*
 * dir is the cgroup's directory. lru_path, the cgroup's path in lru_file, must outlive the demoter. Returns
 * 0 or a negative errno.
 */
int bede_demoter_start(struct bede_demoter *demoter, int dir, const char *lru_file, const char *lru_path,
		       uint64_t far_mask);

/*
 * Replace the task by this one: demote so many pages from node, at most chunk in one command, with so many
 * threads. Never blocks for long.
 */
void bede_demoter_ask(struct bede_demoter *demoter, int node, uint64_t pages, uint64_t chunk,
		      unsigned threads);

/*
 * This demoter, or a task at the fence, will soon have to demote pages from node: make sure that so many
 * are old enough. That is checked again each time the first thread demotes.
 */
void bede_demoter_prepare(struct bede_demoter *demoter, int node, uint64_t pages);

/* Read the counts of pages asked for and of commands, since the start, and how many pages are being demoted at this moment. */
void bede_demoter_count(struct bede_demoter *demoter, uint64_t *asked, uint64_t *tries, uint64_t *moving);

void bede_demoter_stop(struct bede_demoter *demoter);

#endif
