/* SPDX-License-Identifier: Apache-2.0 */
struct bede_birth {
	uint32_t parent;
	uint32_t pid;
	int exec;
	uint64_t at_ns;
};

bool bede_birth_parse(const char *text, size_t length, struct bede_birth *out);
int bede_births_filter(int fd, int forks, int execs);
int bede_births_read(int fd, struct bede_birth *out, unsigned most, unsigned *count);
