/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads and prints ranges as lines "PID HEAT START END", and of shared memory "PID HEAT START END OBJECT SHIFT", for the programs
 * that the tests run. Heat is in hundredths of what is always in use.
 */
#ifndef BEDE_TEST_RANGES_H
#define BEDE_TEST_RANGES_H

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "heat.h"

static inline int read_file(const char *path, struct bede_buffer *out)
{
	BEDE_FD fd = open(path, O_RDONLY);

	return fd < 0 ? -1 : bede_read(fd, out);
}

static inline void show_ranges(const struct bede_ranges *ranges)
{
	for (size_t i = 0; i < ranges->count; i++) {
		const struct bede_range *one = &ranges->at[i];

		printf("%d %.12g %" PRIx64 " %" PRIx64, one->pid, (double)one->heat / BEDE_HEAT_POINT,
		       one->start, one->end);
		if (one->object)
			printf(" %u %" PRIx64, one->object, one->shift);
		puts("");
	}
}

static inline int read_ranges(const char *path, struct bede_ranges *out)
{
	BEDE_BUFFER buffer = { 0 };

	if (read_file(path, &buffer))
		return -1;
	for (char *line = strtok(buffer.text, "\n"); line; line = strtok(NULL, "\n")) {
		struct bede_range range = { 0 };
		double points = 0;

		int fields = sscanf(line, "%d %lf %" SCNx64 " %" SCNx64 " %u %" SCNx64, &range.pid, &points,
				    &range.start, &range.end, &range.object, &range.shift);

		range.heat = (unsigned)(points * BEDE_HEAT_POINT + 0.5);
		if ((fields != 4 && fields != 6) || bede_ranges_add(out, range))
			return -1;
	}
	return 0;
}

#endif
