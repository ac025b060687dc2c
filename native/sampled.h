/* SPDX-License-Identifier: Apache-2.0 */
/* What the agent's start has to know of the source of heat in sampled.c. */
#ifndef BEDE_SAMPLED_H
#define BEDE_SAMPLED_H

#include <stdbool.h>

/*
 * Find out whether there is such a source, by the directory of all PMUs (pmu.h), and that of the root cgroup. No counter is left
 * open.
 */
void bede_sampled_prepare(const char *devices, const char *cgroups);

bool bede_sampled_is_there(void);

#endif
