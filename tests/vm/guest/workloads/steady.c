/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A workload that a test controls by files: steady DIR MIB [set_mempolicy|mbind NODE].
 *
 * It fills MIB mebibytes of anonymous memory with small pages and makes DIR/full. Then it writes to all pages
 * again and again, and counts the rounds in DIR/progress, until DIR/stop exists. Then it checks every page,
 * prints its verdict and exits with status 7, so that a test can tell its status from the runtime. With a call
 * and a node, it binds its memory to that node itself.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/mempolicy.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 4096, MIB = 1 << 20, STATUS = 7 };
static const char *directory;

static void die(const char *what)
{
	fprintf(stderr, "steady: %s: %s\n", what, strerror(errno));
	exit(1);
}

static char *path(char *out, size_t size, const char *name)
{
	if (snprintf(out, size, "%s/%s", directory, name) >= (int)size)
		die("the directory's name is too long");
	return out;
}

/* Write number to DIR/name; readers see the old or the new content, never a part. */
static void put(const char *name, uint64_t number)
{
	char fresh[4096], whole[4000];
	FILE *file;

	path(whole, sizeof(whole), name);
	snprintf(fresh, sizeof(fresh), "%s.new", whole);
	file = fopen(fresh, "w");
	if (!file || fprintf(file, "%llu", (unsigned long long)number) < 0 || fclose(file))
		die(fresh);
	if (rename(fresh, whole))
		die(whole);
}

static int stopped(void)
{
	char name[4096];
	struct stat there;

	return !stat(path(name, sizeof(name), "stop"), &there);
}

static void place(char *region, size_t size, const char *call, int node)
{
	unsigned long mask = 1UL << node;
	long done;

	if (!strcmp(call, "mbind"))
		done = syscall(SYS_mbind, region, size, MPOL_BIND, &mask, 65UL, 0UL);
	else
		done = syscall(SYS_set_mempolicy, MPOL_BIND, &mask, 65UL);
	if (done)
		die(call);
}

/* Write to all pages once. False if DIR/stop exists. */
static int round_of(char *region, size_t size, uint64_t number)
{
	/* Leave CPU time to other processes: the machine has few CPUs. */
	const struct timespec rest = { .tv_nsec = 2000000 };

	for (size_t offset = 0; offset < size; offset += PAGE) {
		region[offset + 8] = (char)number;
		if (offset % MIB)
			continue;
		if (stopped())
			return 0;
		nanosleep(&rest, NULL);
	}
	return 1;
}

int main(int argc, char **argv)
{
	uint64_t rounds = 0;
	size_t size;
	char *region;

	if (argc != 3 && argc != 5)
		return fprintf(stderr, "steady DIR MIB [set_mempolicy|mbind NODE]\n"), 2;
	directory = argv[1];
	size = strtoul(argv[2], NULL, 10) * MIB;
	region = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (region == MAP_FAILED || madvise(region, size, MADV_NOHUGEPAGE))
		die("memory");
	if (argc == 5)
		place(region, size, argv[3], atoi(argv[4]));
	for (uint64_t offset = 0; offset < size; offset += PAGE)
		memcpy(region + offset, &offset, sizeof(offset));
	put("full", 1);
	while (!stopped() && round_of(region, size, rounds))
		put("progress", ++rounds);
	for (uint64_t offset = 0; offset < size; offset += PAGE) {
		if (memcmp(region + offset, &offset, sizeof(offset))) {
			fprintf(stderr, "page %llu lost its content\n", (unsigned long long)(offset / PAGE));
			return 1;
		}
	}
	printf("kept %zu MiB\n", size / MIB);
	return STATUS;
}
