/* SPDX-License-Identifier: Apache-2.0 */
#define BEDE_MAX_NODES ...

struct bede_numa {
	uint64_t lru[...];
	uint64_t file[...];
	uint64_t huge[...];
	uint64_t unevictable[...];
	uint64_t shmem[...];
	uint64_t mapped[...];
};

int bede_parse_numa_stat(const char *text, size_t length, struct bede_numa *out);
int bede_parse_kernel(const char *text, size_t length, uint64_t *out);
int bede_parse_demoted(const char *text, size_t length, uint64_t *out);
int bede_parse_lru_gen(const char *text, size_t length, const char *path, uint64_t inode,
		       int (*visit)(void *context, uint64_t id, int node, uint64_t seq, uint64_t anon,
				    uint64_t file),
		       void *context);
