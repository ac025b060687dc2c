/* SPDX-License-Identifier: Apache-2.0 */
/* Reading and writing kernel files, and parsing those that the control loop needs. */
#ifndef BEDE_KFILE_H
#define BEDE_KFILE_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

/* The agent can hold nodes below this. HELD of ocihook/topology/nodes.py repeats it: the hook loads no C. */
#define BEDE_MAX_NODES 64
/* A set of nodes has one bit each. */
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

/* Likewise, but only its first bytes: somebody else decides how long this file is. */
int bede_read_most(int fd, size_t most, struct bede_buffer *out);

/* Read one unsigned number; "max" gives UINT64_MAX. Returns 0 or a negative errno. */
int bede_read_u64(int fd, uint64_t *out);

/* Write one unsigned number (UINT64_MAX as "max"). Returns 0 or a negative errno. */
int bede_write_u64(int fd, uint64_t value);

/* Bytes on the LRU lists of each node, and of these on file lists, in huge pages and unevictable. */
struct bede_numa {
	uint64_t lru[BEDE_MAX_NODES];
	uint64_t file[BEDE_MAX_NODES];
	uint64_t huge[BEDE_MAX_NODES];
	uint64_t unevictable[BEDE_MAX_NODES];
};

/*
 * memory.numa_stat -> bytes of each node on the anon, file and unevictable lists (the
 * "anon" and "file" lines would count mapped swap cache twice). Unknown nodes are ignored.
 * Returns 0, or -EINVAL if one of these five lines cannot be parsed.
 */
int bede_parse_numa_stat(const char *text, size_t length, struct bede_numa *out);

/*
 * memory.stat -> bytes of kernel and socket memory; 0 where the lines are missing.
 * Returns 0, or -EINVAL if one of them cannot be parsed.
 */
int bede_parse_kernel(const char *text, size_t length, uint64_t *out);

/*
 * debugfs lru_gen -> one call of visit for each generation of each node of the memory cgroup at
 * path (from the cgroup root) and of those below it. Counts are pages. visit's non-zero return
 * value ends the walk and is returned. Returns 0 or -EINVAL.
 *
 * A removed cgroup, and those below it, stay in the file under their old paths as long as pages
 * are charged to them (mostly page cache of files that they have read). The number of a removed one
 * is 0, but unchanged if it has swapped pages, and on kernels that number cgroups by their inode
 * (7.x); there inode identifies the living one (0: unknown). The kernel lists parents before
 * children, and siblings from the oldest on: so the last of several cgroups with the same path is
 * the living one, and all that follow it and are below it are charged to it, removed or not.
 */
int bede_parse_lru_gen(const char *text, size_t length, const char *path, uint64_t inode,
		       int (*visit)(void *context, uint64_t id, int node, uint64_t seq, uint64_t anon,
				    uint64_t file),
		       void *context);

#endif
