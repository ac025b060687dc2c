/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "visit.h"

#ifdef __x86_64__
#include <cpuid.h>
#endif

#define FEATURES 1	/* the leaf of CPUID that says what a CPU can do, ... */
#define PCID (1U << 17) /* ... and its bit in ECX for process-context identifiers */
#define MOST_VISITS 32	/* each takes some 50 us: together no longer than a short window */

bool bede_visit_helps(void)
{
#ifdef __x86_64__
	unsigned eax, ebx, ecx, edx;

	return __get_cpuid(FEATURES, &eax, &ebx, &ecx, &edx) && !(ecx & PCID);
#else
	return false;
#endif
}

void bede_visit_open(struct bede_visit *visit, bool helps, const struct bede_process *processes, size_t count)
{
	CPU_ZERO(&visit->all);
	if (!helps || sched_getaffinity(0, sizeof(visit->home), &visit->home))
		return;
	for (size_t i = 0; i < count; i++) {
		cpu_set_t its;

		/* A process that has ended meanwhile runs nowhere. */
		if (!sched_getaffinity(processes[i].pid, sizeof(its), &its))
			CPU_OR(&visit->all, &visit->all, &its);
	}
	if (CPU_COUNT(&visit->all) > MOST_VISITS)
		CPU_ZERO(&visit->all);
}

void bede_visit_all(const struct bede_visit *visit, const atomic_int *wanted)
{
	int here = sched_getcpu();
	bool went = false;

	for (int cpu = 0; cpu < CPU_SETSIZE && *wanted; cpu++) {
		cpu_set_t only;

		if (cpu == here || !CPU_ISSET((unsigned)cpu, &visit->all))
			continue;
		CPU_ZERO(&only);
		CPU_SET((unsigned)cpu, &only);
		/* A CPU that was taken away meanwhile, or that this agent may not use, is left out. */
		went = !sched_setaffinity(0, sizeof(only), &only) || went;
	}
	if (went)
		(void)sched_setaffinity(0, sizeof(visit->home), &visit->home);
}
