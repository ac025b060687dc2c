/* SPDX-License-Identifier: Apache-2.0 */
#include "reclaim.h"

#include <errno.h>
#include <stdio.h>

#include "kfile.h"

static int reclaim(int dir, uint64_t bytes, const char *option)
{
	char text[64];

	(void)snprintf(text, sizeof(text), "%llu%s", (unsigned long long)bytes, option);
	return bede_write_text(dir, "memory.reclaim", text);
}

int bede_reclaim_cache(int dir, uint64_t bytes)
{
	int err = reclaim(dir, bytes, " swappiness=0");

	/* The option is there since Linux 6.11. */
	return err == -EINVAL ? reclaim(dir, bytes, "") : err;
}
