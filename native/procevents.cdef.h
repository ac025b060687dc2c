/* SPDX-License-Identifier: Apache-2.0 */
struct bede_procevent {
	uint32_t parent;
	uint32_t pid;
	int exec;
	uint64_t at_ns;
};

bool bede_procevent_parse(const char *text, size_t length, struct bede_procevent *out);
int bede_procevents_filter(int fd, int forks, int execs);
int bede_procevents_read(int fd, struct bede_procevent *out, unsigned most, unsigned *count);
