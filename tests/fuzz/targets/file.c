/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "fuzz.h"

#include <sys/mman.h>
#include <unistd.h>

int file_with(const void *text, size_t size)
{
	static int fd = -1;

	if (fd < 0)
		fd = memfd_create("kernel text", MFD_CLOEXEC);
	MUST(fd >= 0, "no file in memory");
	MUST(!ftruncate(fd, 0) && pwrite(fd, text, size, 0) == (ssize_t)size, "cannot be filled");
	return fd;
}
