/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "shortage.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "kfile.h"

#define EACH_US 100000 /* between two checks */
#define ENOUGH 512     /* bytes to read: both lines are among the first three */

void bede_shortage_open(struct bede_shortage *shortage, const char *meminfo)
{
	*shortage = (struct bede_shortage){ .fd = open(meminfo, O_RDONLY | O_CLOEXEC) };
}

static uint64_t kilobytes(const char *text, const char *name)
{
	const char *found = strstr(text, name);

	return found ? strtoull(found + strlen(name), NULL, 10) : 0;
}

static bool is_below(uint64_t available, uint64_t total, uint64_t part, bool already)
{
	return available < total / part * (already ? 2 : 1);
}

bool bede_shortage_look(struct bede_shortage *shortage, uint64_t at_us)
{
	enum bede_shortage_level before = shortage->level;
	char text[ENOUGH + 1];

	if (shortage->fd < 0 || (shortage->looked_us && at_us - shortage->looked_us < EACH_US))
		return false;
	shortage->looked_us = at_us;
	ssize_t got = pread(shortage->fd, text, ENOUGH, 0);

	if (got <= 0)
		return false;
	text[got] = '\0';
	uint64_t total = kilobytes(text, "MemTotal:"), available = kilobytes(text, "MemAvailable:");

	if (is_below(available, total, 64, before == BEDE_GONE))
		shortage->level = BEDE_GONE;
	else if (is_below(available, total, 16, before != BEDE_PLENTY))
		shortage->level = BEDE_SCARCE;
	else
		shortage->level = BEDE_PLENTY;
	return shortage->level != before;
}

void bede_shortage_close(struct bede_shortage *shortage)
{
	bede_close(&shortage->fd);
}
