/* SPDX-License-Identifier: Apache-2.0 */
#include "heat.h"

#include "bpf.h"

#include <errno.h>
#include <pthread.h>
#include <unistd.h>

static const struct bede_heat_source *const sources[] = { &bede_accessed, &bede_damon };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned users;

int bede_heat_prepare(void)
{
	return bede_bpf_load();
}

int bede_heat_measure(const struct bede_heat_ask *ask, struct bede_heat *out)
{
	int err = -ENOENT;

	if (!ask->count || ask->count > BEDE_HEAT_TARGETS)
		return ask->count ? -E2BIG : -ESRCH;
	for (size_t i = 0; i < sizeof(sources) / sizeof(*sources) && err == -ENOENT; i++) {
		out->ranges.count = 0;
		out->used_us = 0;
		err = sources[i]->measure(ask, out);
	}
	return err;
}

unsigned bede_heat_crowd(void)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	pthread_mutex_lock(&lock);
	unsigned now = users;

	pthread_mutex_unlock(&lock);
	return cpus > 1 ? (now + (unsigned)cpus - 1) / (unsigned)cpus : now;
}

void bede_heat_begin(void)
{
	pthread_mutex_lock(&lock);
	users++;
	pthread_mutex_unlock(&lock);
}

void bede_heat_end(void)
{
	pthread_mutex_lock(&lock);
	if (!--users)
		for (size_t i = 0; i < sizeof(sources) / sizeof(*sources); i++)
			if (sources[i]->close)
				sources[i]->close();
	pthread_mutex_unlock(&lock);
}
