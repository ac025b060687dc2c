/* SPDX-License-Identifier: Apache-2.0 */
/* Reading and writing kernel files, and parsing those that the control loop needs. */
#ifndef BEDE_KFILE_H
#define BEDE_KFILE_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

/* Node numbers are below this. MOST_NODES of ocihook/topology/nodes.py repeats it: the hook loads no C. */
#define BEDE_MAX_NODES 64
/* A set of nodes is a uint64_t with a bit for each. */
_Static_assert(BEDE_MAX_NODES <= 64, "no bit for each node");

/* A growing buffer for one kernel file; text[length] is always 0 after a read. */
struct bede_buffer {
	char *text;
	size_t size;
	size_t length;
};

static inline void bede_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static inline void bede_buffer_free(struct bede_buffer *buffer)
{
	free(buffer->text);
}

#define BEDE_FD __attribute__((cleanup(bede_close))) int
#define BEDE_BUFFER __attribute__((cleanup(bede_buffer_free))) struct bede_buffer

/* Read a whole kernel file from offset 0. Returns 0 or a negative errno. */
int bede_read(int fd, struct bede_buffer *out);

/* Likewise, but stop when most bytes are read: for files that a container or user can make long. */
int bede_read_most(int fd, size_t most, struct bede_buffer *out);

/* Read one unsigned number; "max" gives UINT64_MAX. Returns 0 or a negative errno. */
int bede_read_u64(int fd, uint64_t *out);

/* Write one unsigned number (UINT64_MAX as "max"). Returns 0 or a negative errno. */
int bede_write_u64(int fd, uint64_t value);

/* Write a word to the file at path, below dir unless it is absolute. No link at its end is followed. 0 or a negative errno. */
int bede_write_text(int dir, const char *path, const char *text);

/*
 * Bytes on each node's LRU lists; of these, bytes of page cache, in huge pages, and unevictable. Shared memory, which is on the
 * lists of anonymous memory; and what processes have mapped of it and of page cache.
 */
struct bede_numa {
	uint64_t lru[BEDE_MAX_NODES];
	uint64_t file[BEDE_MAX_NODES];
	uint64_t huge[BEDE_MAX_NODES];
	uint64_t unevictable[BEDE_MAX_NODES];
	uint64_t shmem[BEDE_MAX_NODES];
	uint64_t mapped[BEDE_MAX_NODES];
};

/*
 * memory.numa_stat -> bytes on the anon, file and unevictable lists of each node, and so on. (The lines "anon" and
 * "file" would count mapped swap cache twice.) Unknown nodes are ignored. Returns 0, or -EINVAL if one of
 * these lines cannot be parsed.
 */
int bede_parse_numa_stat(const char *text, size_t length, struct bede_numa *out);

/*
 * memory.stat -> bytes of kernel and socket memory; a missing line counts as 0. Returns 0, or -EINVAL if
 * one of these lines cannot be parsed.
 */
int bede_parse_kernel(const char *text, size_t length, uint64_t *out);

/* memory.stat -> pages that the kernel has demoted. Otherwise the same; up to Linux 6.10 there are no such lines. */
int bede_parse_demoted(const char *text, size_t length, uint64_t *out);

/*
 * debugfs lru_gen -> one call of visit for each generation of each node of the memory cgroup at path (from
 * the cgroup root) and of those below it. Counts are pages. If visit returns non-zero, the walk ends with
 * that value. Returns 0 or -EINVAL.
 *
 * A removed cgroup, and those below it, stay in the file under their old paths as long as pages are charged
 * to them (mostly page cache of files that they have read). The file gives a removed cgroup the number 0,
 * with two exceptions: it keeps its number if it has swapped pages, and on kernels that number cgroups by
 * their inode (7.x). There inode, that of the living cgroup's directory (0: unknown), tells the living one.
 * The kernel lists parents before children, and siblings from the oldest on. So of several cgroups with the
 * same path the last one is the living one, and all below it that follow it are charged to it, removed or
 * not.
 */
int bede_parse_lru_gen(const char *text, size_t length, const char *path, uint64_t inode,
		       int (*visit)(void *context, uint64_t id, int node, uint64_t seq, uint64_t anon,
				    uint64_t file),
		       void *context);

#endif
