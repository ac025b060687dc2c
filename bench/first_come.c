/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A library to preload, which chooses a node when memory is mapped, as SMDK's allocator does: large private mappings are local
 * until FIRST_COME_MIB are, and far from then on. Nothing is moved later.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <linux/mempolicy.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LEAST (1UL << 20)

static void place(char *at, size_t size, unsigned node)
{
	unsigned long mask = 1UL << node;

	if (size)
		(void)syscall(SYS_mbind, at, size, MPOL_BIND, &mask, sizeof(mask) * 8, 0);
}

void *mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset)
{
	static size_t left = (size_t)-1;
	void *(*next)(void *, size_t, int, int, int, off_t);
	const char *most = getenv("FIRST_COME_MIB");

	*(void **)&next = dlsym(RTLD_NEXT, "mmap");
	char *found = next(at, size, protection, flags, fd, offset);

	if (found == MAP_FAILED || fd >= 0 || size < LEAST || !most)
		return found;
	if (left == (size_t)-1)
		left = strtoul(most, NULL, 10) << 20;
	size_t here = size < left ? size : left;

	place(found, here, 0);
	place(found + here, size - here, 1);
	left -= here;
	return found;
}
