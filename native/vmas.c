/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "vmas.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "grow.h"
#include "units.h"

#define DEEPEST 32		       /* levels of cgroups below the container's that are read */
#define STEERING "interleave=relative" /* Bede's policies (policy.h) in numa_maps */
#define KEPT_OUT "local"

/* A file that is mapped as a program or a library. */
struct inode {
	char device[16];
	uint64_t number;
};

struct vma {
	uint64_t start, end, inode;
	uint64_t offset;
	char mode[4], device[16];
};

static int add_process(struct bede_vmas *vmas, int pid)
{
	struct bede_process *processes =
		bede_grown(vmas->processes, vmas->count, &vmas->size, 64, sizeof(*processes));

	if (!processes)
		return -ENOMEM;
	vmas->processes = processes;
	vmas->processes[vmas->count++] = (struct bede_process){ .pid = pid };
	return 0;
}

static const char *next_line(const char *line)
{
	const char *end = strchr(line, '\n');

	return end ? end + 1 : line + strlen(line);
}

static int read_pids(struct bede_vmas *vmas, int dir)
{
	BEDE_FD file = openat(dir, "cgroup.procs", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	/* A threaded cgroup's file cannot be read (EOPNOTSUPP): the cgroup above it lists its processes. */
	if (file < 0 || bede_read(file, &vmas->maps))
		return 0;
	for (const char *line = vmas->maps.text; *line; line = next_line(line)) {
		int pid = atoi(line);
		int err = pid > 0 ? add_process(vmas, pid) : 0;

		if (err)
			return err;
	}
	return 0;
}

static bool is_dots(const char *name)
{
	return !strcmp(name, ".") || !strcmp(name, "..");
}

static int read_tree(struct bede_vmas *vmas, int dir, int depth)
{
	int err = read_pids(vmas, dir);
	int copy = err ? -1 : openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *entries = copy < 0 ? NULL : fdopendir(copy);

	if (!entries) {
		bede_close(&copy);
		return err;
	}
	for (struct dirent *entry; !err && (entry = readdir(entries));) {
		if (entry->d_type != DT_DIR || is_dots(entry->d_name) || depth == DEEPEST)
			continue;
		BEDE_FD below = openat(dir, entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

		if (below >= 0)
			err = read_tree(vmas, below, depth + 1);
	}
	closedir(entries);
	return err;
}

/* Parse "start-end mode offset device inode path". sscanf would search for the end of the whole text. */
static bool read_vma(const char *line, struct vma *out)
{
	char *at;

	out->start = strtoull(line, &at, 16);
	if (*at != '-')
		return false;
	out->end = strtoull(at + 1, &at, 16);
	if (*at++ != ' ' || strnlen(at, 5) < 5 || at[4] != ' ')
		return false;
	memcpy(out->mode, at, 4);
	out->offset = strtoull(at + 5, &at, 16);
	if (*at++ != ' ')
		return false;
	size_t length = strcspn(at, " \n");

	if (length >= sizeof(out->device) || at[length] != ' ')
		return false;
	memcpy(out->device, at, length);
	out->device[length] = '\0';
	out->inode = strtoull(at + length, NULL, 10);
	return true;
}

/* Whether the line of numa_maps, up to end, has this word. */
static bool has_word(const char *line, const char *end, const char *word)
{
	size_t length = strlen(word);

	for (const char *at = line; (at = memmem(at, (size_t)(end - at), word, length)); at += length)
		if (at > line && at[-1] == ' ' && (at + length == end || at[length] == ' '))
			return true;
	return false;
}

static uint64_t plus(uint64_t a, uint64_t b)
{
	uint64_t sum;

	return __builtin_add_overflow(a, b, &sum) ? UINT64_MAX : sum;
}

/* How much of a VMA is in memory, and on which nodes. */
struct placed {
	uint64_t bytes, local;
	uint64_t sharers; /* most processes that have mapped one of the pages */
	uint64_t nodes;	  /* bit n: some of it is on node n */
};

static uint64_t times(uint64_t pages, uint64_t kib)
{
	uint64_t bytes;

	return __builtin_mul_overflow(pages, kib, &bytes) || __builtin_mul_overflow(bytes, 1024, &bytes) ?
		       UINT64_MAX :
		       bytes;
}

/* Read it from a line of numa_maps, up to end: "N0=12 N1=3 kernelpagesize_kB=4". */
static struct placed read_placed(const char *line, const char *end, uint64_t local_mask)
{
	static const char size_name[] = "kernelpagesize_kB=", sharers_name[] = "mapmax=";
	struct placed pages = { .sharers = 1 };
	uint64_t kib = 4;

	for (const char *at = line; at < end && (at = memchr(at, ' ', (size_t)(end - at)));) {
		char *after;

		at++;
		if (*at == 'N') {
			unsigned long node = strtoul(at + 1, &after, 10);

			if (*after != '=' || node >= BEDE_MAX_NODES)
				continue;
			uint64_t count = strtoull(after + 1, NULL, 10);

			pages.nodes |= 1ULL << node;
			pages.bytes = plus(pages.bytes, count);
			if (local_mask >> node & 1)
				pages.local = plus(pages.local, count);
		} else if (!strncmp(at, size_name, sizeof(size_name) - 1)) {
			kib = strtoull(at + sizeof(size_name) - 1, NULL, 10);
		} else if (!strncmp(at, sharers_name, sizeof(sharers_name) - 1)) {
			pages.sharers = strtoull(at + sizeof(sharers_name) - 1, NULL, 10);
		}
	}
	pages.bytes = times(pages.bytes, kib);
	pages.local = times(pages.local, kib);
	pages.sharers += !pages.sharers;
	return pages;
}

/* Whether it is shared memory, not a file: such memory is mostly shared by processes of one container. */
static bool is_memory(const char *map)
{
	static const char *const names[] = { " /dev/shm/", " /memfd:", " /SYSV", " /dev/zero", " /dmabuf" };
	size_t length = strcspn(map, "\n");

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (memmem(map, length, names[i], strlen(names[i])))
			return true;
	return false;
}

/* Collect the files of which a part is mapped executable. */
static size_t programs(const char *maps, struct inode *out, size_t most)
{
	struct vma vma;
	size_t count = 0;

	for (const char *line = maps; *line && count < most; line = next_line(line)) {
		if (!read_vma(line, &vma) || vma.mode[2] != 'x' || !vma.inode)
			continue;
		memcpy(out[count].device, vma.device, sizeof(vma.device));
		out[count++].number = vma.inode;
	}
	return count;
}

static bool is_program(const struct vma *vma, const struct inode *inodes, size_t count)
{
	/* A writable VMA has pages that the process has written and the file does not have: data. */
	if (!vma->inode || vma->mode[1] == 'w')
		return false;
	for (size_t i = 0; i < count; i++)
		if (inodes[i].number == vma->inode && !strcmp(inodes[i].device, vma->device))
			return true;
	return false;
}

/* The span of a process; see struct bede_process. The kernel's own page at the end is no VMA, though maps has it. */
static uint64_t span(const char *maps)
{
	uint64_t first = 0, last = 0, largest = 0, second = 0;
	struct vma vma;

	for (const char *line = maps; *line; line = next_line(line)) {
		if (!read_vma(line, &vma) || vma.end <= vma.start || vma.start < last || vma.end >> 63)
			continue;
		uint64_t gap = last ? vma.start - last : 0;

		first = last ? first : vma.start;
		last = vma.end;
		second = gap > largest ? largest : gap > second ? gap : second;
		largest = gap > largest ? gap : largest;
	}
	return last - first - largest - second;
}

/*
 * A number for the file or shared memory that the VMA maps, the same in all processes; 0 if it has pages of its own. Two objects
 * with one number, one pair of some billions, would be taken for one.
 */
static uint32_t object_of(const struct vma *vma, bool has_own)
{
	uint64_t hash = vma->inode;

	if (!hash || (vma->mode[3] != 's' && (vma->mode[1] == 'w' || has_own)) || vma->offset > vma->start)
		return 0;
	/* FNV-1a's prime; that a product wraps around is what makes it a hash. */
	for (const char *at = vma->device; *at; at++)
		(void)__builtin_mul_overflow(hash ^ (unsigned char)*at, 0x100000001b3ULL, &hash);
	uint32_t number = (uint32_t)(hash >> 32 ^ hash);

	return number ? number : 1;
}

static bool begins(const char *text, const char *with)
{
	return !strncmp(text, with, strlen(with));
}

/* Whether a policy is the kernel's default or one of Bede's. Any other one was chosen by the program. */
static bool is_ours(const struct bede_vmas *vmas, const char *policy)
{
	return begins(policy, "default") || begins(policy, vmas->kept_out ? KEPT_OUT : STEERING);
}

int bede_vmas_parse(struct bede_vmas *vmas, struct bede_process *process, uint64_t local_mask)
{
	struct inode inodes[256];
	size_t count = programs(vmas->maps.text, inodes, sizeof(inodes) / sizeof(*inodes));
	const char *line = vmas->numa.text;
	struct vma vma;

	process->span = span(vmas->maps.text);
	for (const char *map = vmas->maps.text; *map; map = next_line(map)) {
		uint64_t start = 0;

		if (!read_vma(map, &vma) || vma.end <= vma.start)
			continue;
		/* Both files list VMAs in the same order, but these may change between the two reads. */
		while (*line && (start = strtoull(line, NULL, 16)) < vma.start)
			line = next_line(line);
		if (!*line || start != vma.start)
			continue;
		const char *end = strchr(line, '\n');
		const char *policy = strchr(line, ' ');

		end = end ? end : line + strlen(line);
		if (!policy || policy >= end)
			continue;
		policy++;
		struct placed placed = read_placed(line, end, local_mask);

		if (has_word(line, end, "huge") || !placed.bytes || is_program(&vma, inodes, count))
			continue;
		/* Moving a page under writeback waits for the end of that, for ever if its server is dead. */
		if (memmem(line, (size_t)(end - line), " writeback=", 11))
			placed.nodes = 0;
		if (!is_ours(vmas, policy)) {
			vmas->program_bound = plus(vmas->program_bound, placed.local);
			continue;
		}
		/* Pages of a file that the process has written before it gave up the right to are its own. */
		uint32_t object = object_of(&vma, memmem(line, (size_t)(end - line), " anon=", 6));

		process->bytes = plus(process->bytes, placed.bytes);
		vmas->memory = plus(vmas->memory, placed.bytes / (object ? placed.sharers : 1));
		int err = bede_ranges_add(&vmas->ranges,
					  (struct bede_range){ .pid = process->pid,
							       .object = object,
							       .shift = object ? vma.start - vma.offset : 0,
							       .heat = BEDE_UNKNOWN_HEAT,
							       .unshared_only = vma.inode && !is_memory(map),
							       .nodes = placed.nodes,
							       .start = vma.start,
							       .end = vma.end });

		if (err)
			return err;
	}
	return 0;
}

static bool read_proc(int pid, const char *name, struct bede_buffer *out)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	BEDE_FD fd = open(path, O_RDONLY | O_CLOEXEC);

	return fd >= 0 && !bede_read_most(fd, BEDE_MOST_TEXT, out);
}

int bede_vmas_read(struct bede_vmas *vmas, int dir, uint64_t local_mask, bool (*stopped)(void *context),
		   void *context)
{
	vmas->ranges.count = 0;
	vmas->count = 0;
	vmas->program_bound = vmas->memory = 0;
	int err = read_tree(vmas, dir, 0);

	for (size_t i = 0; !err && i < vmas->count; i++) {
		struct bede_process *process = &vmas->processes[i];

		if (stopped && stopped(context))
			return -EINTR;
		if (read_proc(process->pid, "maps", &vmas->maps) &&
		    read_proc(process->pid, "numa_maps", &vmas->numa))
			err = bede_vmas_parse(vmas, process, local_mask);
	}
	return err;
}

void bede_vmas_free(struct bede_vmas *vmas)
{
	free(vmas->ranges.at);
	free(vmas->processes);
	bede_buffer_free(&vmas->maps);
	bede_buffer_free(&vmas->numa);
}
