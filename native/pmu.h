/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds out how the processor samples accesses to memory: by what the kernel says of it in sysfs.
 *
 * Intel's PEBS samples loads that took long; AMD's IBS samples operations, with Zen 4 only those that miss the last level of
 * cache. Which numbers select that is in files, as those that perf(1) reads: an event is a list of terms, "event=0xcd,umask=0x1",
 * and a format says which bits a term's value takes, "config:0-7". Sources: Documentation/ABI/testing,
 * sysfs-bus-event_source-devices-format and -events; arch/x86/events/intel/core.c, arch/x86/events/amd/ibs.c.
 */
#ifndef BEDE_PMU_H
#define BEDE_PMU_H

#include <stdbool.h>
#include <stdint.h>

#define BEDE_PMU_DEVICES "/sys/bus/event_source/devices"

/* What perf_event_open(2) is to sample; the names are those of its attributes. */
struct bede_event {
	uint32_t type;
	uint64_t config[3];    /* config, config1, config2 */
	uint64_t companion;    /* the config of an event without which this one counts wrongly, or 0 */
	bool precise;	       /* the address shall be that of the very access */
	bool excludes;	       /* the PMU can leave out the kernel and virtual machines */
	uint64_t least_period; /* the shortest period */
	uint64_t step;	       /* periods are multiples of it */
};

/*
 * Find the event in the directory of all PMUs. Returns 0, or -ENOENT: this processor has none, or a hypervisor hides it; or another
 * negative errno if a file cannot be understood.
 */
int bede_pmu_find(const char *devices, struct bede_event *out);

#endif
