/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The swap guard while a user writes the file as well: in any order of actions, when the guard lets go the
 * file must have the user's last value, and it must never allow more swap than the user did.
 */
#define _GNU_SOURCE
#include "swapguard.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

#include "fuzz.h"

enum { LIMIT, CURRENT, FILES };
enum { USER_LIMITS, SWAPS, WANTS, LETS_GO, ACTIONS };

static const char *const names[FILES] = { "memory.swap.max", "memory.swap.current" };
static int fds[FILES] = { -1, -1 };

int __real_openat(int dir, const char *name, int flags, ...);
int __wrap_openat(int dir, const char *name, int flags, ...);
ssize_t __real_pwrite(int fd, const void *text, size_t size, off_t at);
ssize_t __wrap_pwrite(int fd, const void *text, size_t size, off_t at);

/* Open the guard's files in memory, without a cgroup. */
int __wrap_openat(int dir, const char *name, int flags, ...)
{
	for (int file = 0; file < FILES; file++)
		if (!strcmp(name, names[file]))
			return dup(fds[file]);
	return __real_openat(dir, name, flags);
}

/* A write to a kernel file replaces the whole value. */
ssize_t __wrap_pwrite(int fd, const void *text, size_t size, off_t at)
{
	MUST(!ftruncate(fd, 0), "cannot be emptied");
	return __real_pwrite(fd, text, size, at);
}

static uint64_t value_of(uint8_t byte)
{
	return byte == 255 ? UINT64_MAX : (uint64_t)byte << 20;
}

static uint64_t limit(void)
{
	uint64_t value = 0;

	MUST(!bede_read_u64(fds[LIMIT], &value), "not read");
	return value;
}

static void put(int file, uint64_t value)
{
	MUST(!bede_write_u64(fds[file], value), "not written");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bede_swapguard guard = { 0 };
	uint64_t users = UINT64_MAX;

	for (int file = 0; file < FILES; file++) {
		if (fds[file] < 0)
			fds[file] = memfd_create(names[file], MFD_CLOEXEC);
		put(file, file == CURRENT ? 0 : UINT64_MAX);
	}
	bede_swapguard_open(&guard, -1, users);
	for (size_t at = 0; at + 1 < size; at += 2) {
		int action = data[at] % ACTIONS;
		uint64_t value = value_of(data[at + 1]);

		/*
		 * Except the value that the guard wrote last, since the guard could not tell that it is the
		 * user's.
		 */
		if (action == USER_LIMITS && value != guard.written) {
			users = value;
			put(LIMIT, value);
		} else if (action == SWAPS && value != UINT64_MAX) {
			put(CURRENT, value);
		} else if (action == WANTS) {
			bede_swapguard_update(&guard, true);
		} else if (action == LETS_GO) {
			bede_swapguard_update(&guard, false);
			MUST(!guard.engaged && limit() == users, "%llu", (unsigned long long)limit());
		}
		MUST(limit() <= users, "%llu of the user's %llu", (unsigned long long)limit(),
		     (unsigned long long)users);
		MUST(guard.engaged || limit() == users, "%llu", (unsigned long long)limit());
	}
	bede_swapguard_update(&guard, false);
	MUST(limit() == users, "%llu of the user's %llu", (unsigned long long)limit(),
	     (unsigned long long)users);
	bede_swapguard_close(&guard);
	return 0;
}
