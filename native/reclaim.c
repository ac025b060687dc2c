/* SPDX-License-Identifier: Apache-2.0 */
#include "reclaim.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "kfile.h"
#include "units.h"

static int reclaim(int dir, uint64_t bytes, const char *option)
{
	char text[64];

	(void)snprintf(text, sizeof(text), "%llu%s", (unsigned long long)bytes, option);
	return bede_write_text(dir, "memory.reclaim", text);
}

static int read_demoted(int fd, uint64_t *out)
{
	BEDE_BUFFER buffer = { 0 };
	int err = bede_read(fd, &buffer);

	return err ? err : bede_parse_demoted(buffer.text, buffer.length, out);
}

int bede_reclaim_cache(int dir, uint64_t bytes, bool swap_closed, uint64_t *demoted)
{
	BEDE_FD fd = openat(dir, "memory.stat", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	uint64_t before, after;
	int err = fd < 0 ? -errno : read_demoted(fd, &before);

	*demoted = 0;
	if (err)
		return err;
	err = reclaim(dir, bytes, " swappiness=0");
	if (err == -EINVAL && swap_closed)
		err = reclaim(dir, bytes, "");
	if (!read_demoted(fd, &after) && after > before)
		*demoted = (after - before) * PAGE;
	return err;
}
