/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "pages.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include "recent.h"
#include "units.h"

#define MOVE (1 << 1)		   /* MPOL_MF_MOVE: pages that only this process has mapped */
#define MOVE_ALL (1 << 2)	   /* MPOL_MF_MOVE_ALL: also pages that several processes have mapped */
#define UNKNOWN_SIZE 0		   /* of a page that nobody has looked at */
#define REGIONS 256		   /* most regions that one PAGEMAP_SCAN returns */
#define ENTRY_PRESENT (1ULL << 63) /* in an entry of pagemap: the page is in memory */

/* As in <linux/fs.h> since 6.7, for headers that are older than the kernel. */
enum { IS_PRESENT = 1 << 3, IS_ZERO = 1 << 5, IS_HUGE = 1 << 6 };

struct region {
	uint64_t start, end, categories;
};

struct scan {
	uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
	uint64_t inverted, mask, anyof_mask, return_mask;
};

#define SCAN _IOWR('f', 16, struct scan)

/* nodes NULL: ask where the pages from index first on are. Otherwise move them there. */
static long move_pages(struct bede_pages *pages, size_t first, size_t count, const int *nodes)
{
	/* The process may have ended, and another one may have its pid now. */
	if (nodes && faccessat(pages->proc, "pagemap", F_OK, 0))
		return -ESRCH;
	long result =
		syscall(SYS_move_pages, pages->pid, count, pages->at + first, nodes, pages->node + first,
			!nodes		     ? 0 :
			pages->unshared_only ? MOVE :
					       MOVE_ALL);

	return result < 0 ? -errno : result;
}

/* Whether the process is in the container's cgroup or one below it. */
static bool is_ours(const struct bede_pages *pages)
{
	BEDE_BUFFER buffer = { 0 };
	BEDE_FD fd = openat(pages->proc, "cgroup", O_RDONLY | O_CLOEXEC);
	size_t length = strlen(pages->cgroup);

	if (fd < 0 || bede_read_most(fd, 65536, &buffer) || !buffer.text)
		return false;
	const char *path = strstr(buffer.text, "0::");

	if (!path || strncmp(path + 3, pages->cgroup, length) != 0)
		return false;
	return path[3 + length] == '\n' || path[3 + length] == '/';
}

static int open_process(struct bede_pages *pages, int pid)
{
	char path[64];

	if (pages->pagemap >= 0 && pages->pid == pid)
		return 0;
	bede_pages_close(pages);
	(void)snprintf(path, sizeof(path), "/proc/%d", pid);
	pages->proc = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	pages->pid = pid;
	if (pages->proc >= 0 && is_ours(pages))
		pages->pagemap = openat(pages->proc, "pagemap", O_RDONLY | O_CLOEXEC);
	if (pages->pagemap >= 0)
		return 0;
	bede_pages_close(pages);
	return -ESRCH;
}

static void add(struct bede_pages *pages, uint64_t address, uint64_t size, const struct bede_range *range)
{
	pages->at[pages->count] = (void *)(uintptr_t)address;
	pages->heat[pages->count] = range->heat;
	pages->key[pages->count] = bede_recent_key(bede_range_owner(range), address - range->shift);
	pages->size[pages->count++] = size;
}

static int scan(struct bede_pages *pages, const struct bede_range *range, uint64_t *at)
{
	uint64_t end = range->end;
	struct region regions[REGIONS];
	struct scan scan = { .size = sizeof(scan),
			     .start = *at,
			     .end = end,
			     .vec = (uintptr_t)regions,
			     .vec_len = REGIONS,
			     .max_pages = BEDE_BATCH - pages->count,
			     .mask = IS_PRESENT | IS_ZERO,
			     .inverted = IS_ZERO,
			     .return_mask = IS_HUGE };
	int count = ioctl(pages->pagemap, SCAN, &scan);

	if (count < 0)
		return -errno;
	for (int i = 0; i < count; i++) {
		bool huge = regions[i].categories & IS_HUGE;
		uint64_t size = huge ? HUGE_PAGE : PAGE;

		/* Start at the next huge page if the last batch ended within one: that one was in it. */
		uint64_t from = huge ? (regions[i].start + size - 1) & ~(size - 1) : regions[i].start;

		for (uint64_t page = from; page < regions[i].end && pages->count < BEDE_BATCH; page += size)
			add(pages, page, size, range);
	}
	*at = scan.walk_end > *at ? scan.walk_end : end;
	return 0;
}

static int step(struct bede_pages *pages, const struct bede_range *range, uint64_t *at)
{
	uint64_t entries[BEDE_BATCH];
	uint64_t count = minimum((range->end - *at) / PAGE, BEDE_BATCH - pages->count);
	ssize_t got = pread(pages->pagemap, entries, count * sizeof(*entries), (off_t)(*at / PAGE * 8));

	if (got <= 0)
		return got < 0 ? -errno : -ESRCH;
	for (size_t i = 0; i < (size_t)got / sizeof(*entries); i++)
		if (entries[i] & ENTRY_PRESENT)
			add(pages, *at + i * PAGE, PAGE, range);
	*at += (size_t)got / sizeof(*entries) * PAGE;
	return 0;
}

void bede_pages_open(struct bede_pages *pages, const char *cgroup)
{
	pages->cgroup = cgroup;
	pages->proc = pages->pagemap = -1;
}

static int look(struct bede_pages *pages, const struct bede_range *range, uint64_t *at)
{
	int err = open_process(pages, range->pid);

	if (err)
		return err;
	err = pages->no_scan ? -ENOTTY : scan(pages, range, at);
	if (err == -ENOTTY) {
		pages->no_scan = true;
		err = step(pages, range, at);
	}
	return err;
}

int bede_pages_add(struct bede_pages *pages, const struct bede_range *range, uint64_t *at)
{
	pages->unshared_only = range->unshared_only;
	/* A list of single pages is long, and mostly of pages on other nodes: bede_pages_keep looks at the rest. */
	if (range->end - *at == PAGE) {
		int err = open_process(pages, range->pid);

		if (!err)
			add(pages, *at, UNKNOWN_SIZE, range);
		*at = range->end;
		return err;
	}
	int err = look(pages, range, at);

	/* The process may have executed another program: its files are to be opened again. */
	if (err == -ESRCH && !pages->count) {
		bede_pages_close(pages);
		err = look(pages, range, at);
	}
	return err;
}

static bool is_on(int node, uint64_t mask)
{
	return node >= 0 && node < BEDE_MAX_NODES && mask >> node & 1;
}

/* The size of the page at this address; 0 if it is in the midst of a huge page, or gone. */
static uint64_t size_of(const struct bede_pages *pages, const void *at)
{
	struct region region;
	struct scan scan = { .size = sizeof(scan),
			     .start = (uintptr_t)at,
			     .end = (uintptr_t)at + PAGE,
			     .vec = (uintptr_t)&region,
			     .vec_len = 1,
			     .mask = IS_PRESENT | IS_ZERO,
			     .inverted = IS_ZERO,
			     .return_mask = IS_HUGE };
	int count = pages->no_scan ? -1 : ioctl(pages->pagemap, SCAN, &scan);

	if (count <= 0)
		return count < 0 ? PAGE : 0;
	bool huge = region.categories & IS_HUGE;

	return !huge ? PAGE : scan.start & (HUGE_PAGE - 1) ? 0 : HUGE_PAGE;
}

int bede_pages_keep(struct bede_pages *pages, size_t first, uint64_t mask)
{
	size_t kept = first, count = pages->count;
	long err = count > first ? move_pages(pages, first, count - first, NULL) : 0;

	pages->count = first;
	if (err < 0)
		return (int)err;
	for (size_t i = first; i < count; i++) {
		if (!is_on(pages->node[i], mask))
			continue;
		if (pages->size[i] == UNKNOWN_SIZE && !(pages->size[i] = size_of(pages, pages->at[i])))
			continue;
		pages->at[kept] = pages->at[i];
		pages->size[kept] = pages->size[i];
		pages->heat[kept] = pages->heat[i];
		pages->key[kept] = pages->key[i];
		kept++;
	}
	pages->count = kept;
	return 0;
}

int bede_pages_move(struct bede_pages *pages, size_t count, int target, uint64_t *moved)
{
	if (!count)
		return 0;
	for (size_t i = 0; i < count; i++)
		pages->target[i] = target;
	long result = move_pages(pages, 0, count, pages->target);
	bool refused = result == -ESRCH || result == -EACCES || result == -EPERM;
	/* If not the whole batch was moved, ask where each page is now. */
	long looked = result && !refused ? move_pages(pages, 0, count, NULL) : 0;
	uint64_t done = 0;

	for (size_t i = 0; i < count; i++) {
		if (refused || looked)
			pages->node[i] = -EACCES;
		done += pages->node[i] == target ? pages->size[i] : 0;
	}
	*moved += done;
	return done ? 0 : looked < 0 ? (int)looked : result < 0 ? (int)result : -EBUSY;
}

void bede_pages_close(struct bede_pages *pages)
{
	bede_close(&pages->pagemap);
	bede_close(&pages->proc);
	pages->proc = pages->pagemap = -1;
}
