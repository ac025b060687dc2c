/* SPDX-License-Identifier: Apache-2.0 */
/* Reads and prints ranges as lines "PID HEAT START END", for the programs that the tests run. */
#ifndef BEDE_TEST_RANGES_H
#define BEDE_TEST_RANGES_H

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "vmas.h"

static inline int read_file(const char *path, struct bede_buffer *out)
{
	BEDE_FD fd = open(path, O_RDONLY);

	return fd < 0 ? -1 : bede_read(fd, out);
}

static inline void show_ranges(const struct bede_ranges *ranges)
{
	for (size_t i = 0; i < ranges->count; i++)
		printf("%d %u %" PRIx64 " %" PRIx64 "\n", ranges->at[i].pid, ranges->at[i].heat,
		       ranges->at[i].start, ranges->at[i].end);
}

static inline int read_ranges(const char *path, struct bede_ranges *out)
{
	BEDE_BUFFER buffer = { 0 };

	if (read_file(path, &buffer))
		return -1;
	for (char *line = strtok(buffer.text, "\n"); line; line = strtok(NULL, "\n")) {
		struct bede_range range = { 0 };

		if (sscanf(line, "%d %u %" SCNx64 " %" SCNx64, &range.pid, &range.heat, &range.start,
			   &range.end) != 4 ||
		    bede_ranges_add(out, range))
			return -1;
	}
	return 0;
}

#endif
