/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "roomiest.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kfile.h"

static uint64_t free_on(int node)
{
	char path[64], text[512];

	(void)snprintf(path, sizeof(path), "/sys/devices/system/node/node%d/meminfo", node);
	BEDE_FD fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	text[got > 0 ? got : 0] = '\0';
	const char *found = strstr(text, "MemFree:");

	return found ? strtoull(found + strlen("MemFree:"), NULL, 10) : 0;
}

int bede_roomiest(uint64_t mask)
{
	int best = __builtin_ctzll(mask);

	if (mask & (mask - 1)) {
		uint64_t most = 0;

		for (int node = 0; node < BEDE_MAX_NODES; node++) {
			uint64_t room = mask >> node & 1 ? free_on(node) : 0;

			if (room > most) {
				most = room;
				best = node;
			}
		}
	}
	return best;
}
