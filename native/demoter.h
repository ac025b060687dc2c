/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Demotion in the background: a few threads for each container, which demote what they are told to.
 *
 * Ageing walks page tables and migrating copies pages; the thread that moves the fence must
 * not wait for either. There are several threads, because a container may allocate on every CPU.
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
	int node;
	unsigned threads; /* how many may work at once */
	bool prepare;	  /* demote nothing now, but age pages so that the next ones are old enough */
	uint64_t pages;	  /* still to be demoted */
	uint64_t chunk;	  /* most pages in one command */
	uint64_t reserve; /* pages that must be old enough at all times */
	uint64_t asked;	  /* pages that the kernel was told to demote, since the start */
	uint64_t tries;	  /* commands, since the start */
	struct bede_demoter_thread pool[BEDE_DEMOTERS];
};

/* dir is the cgroup's, lru_path must outlive the demoter. Returns 0 or a negative errno. */
int bede_demoter_start(struct bede_demoter *demoter, int dir, const char *lru_file, const char *lru_path,
		       uint64_t far_mask);

/* Replace the task: demote pages from node, by so many threads. Never blocks for long. */
void bede_demoter_ask(struct bede_demoter *demoter, int node, uint64_t pages, uint64_t chunk,
		      unsigned threads);

/*
 * Pages of node will have to be demoted soon, by this demoter or by a task at the fence: make sure
 * that so many are old enough for it. Checked again each time pages are demoted.
 */
void bede_demoter_prepare(struct bede_demoter *demoter, int node, uint64_t pages);

/* asked and tries since the start. */
void bede_demoter_count(struct bede_demoter *demoter, uint64_t *asked, uint64_t *tries);

void bede_demoter_stop(struct bede_demoter *demoter);

#endif
