/* SPDX-License-Identifier: Apache-2.0 */
#include "heat.h"

#include "bpf.h"
#include "perf.h"
#include "pmu.h"
#include "sampled.h"

#include <errno.h>
#include <pthread.h>
#include <unistd.h>

#include "units.h"

static const struct bede_heat_source *const sources[] = { &bede_accessed, &bede_sampled, &bede_damon };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned users;
static uint64_t reserved_us; /* until then all CPU time for measuring is given away */

int bede_heat_prepare(void)
{
	bede_sampled_prepare(BEDE_PMU_DEVICES, BEDE_CGROUPS);
	return bede_bpf_load();
}

bool bede_heat_takes_perfmon(void)
{
	return bede_sampled_is_there();
}

int bede_heat_measure(const struct bede_heat_ask *ask, struct bede_heat *out)
{
	int err = -ENOENT;

	if (!ask->count || ask->count > BEDE_HEAT_TARGETS)
		return ask->count ? -E2BIG : -ESRCH;
	for (size_t i = 0; i < sizeof(sources) / sizeof(*sources) && err == -ENOENT; i++) {
		out->ranges.count = 0;
		out->used_us = 0;
		out->by_page = out->sampled = false;
		err = sources[i]->measure(ask, out);
	}
	return err;
}

void bede_heat_let_go(bool *kept)
{
	for (size_t i = 0; i < sizeof(sources) / sizeof(*sources) && *kept; i++)
		if (sources[i]->let_go)
			sources[i]->let_go();
	*kept = false;
}

uint64_t bede_heat_reserve(uint64_t pause_us)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	pthread_mutex_lock(&lock);
	uint64_t now = now_us();

	reserved_us = (reserved_us > now ? reserved_us : now) + pause_us / (cpus > 1 ? (uint64_t)cpus : 1);
	uint64_t wait = reserved_us - now;

	pthread_mutex_unlock(&lock);
	return wait > pause_us ? wait : pause_us;
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
