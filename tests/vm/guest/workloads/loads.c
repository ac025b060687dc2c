/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The loads of loads.py in C, which under emulation fill memory some ten times as fast: loads KIND MIB
 * [PROCESSES [SECONDS [thp] [wait]]].
 *
 * KIND is anon, shmem, read, mmap, write or workers. All processes together use MIB mebibytes. All keep
 * their memory until the last one has its share, and for SECONDS after that. BEDE_LOAD_FILE names the file
 * to read. With wait, the load begins when a line arrives on standard input.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 4096, MIB = 1 << 20, EACH = 7, WORKERS = 4 };

static double hold = 1;
static int thp;
static int filled[2] = { -1, -1 }, ended[2] = { -1, -1 };

static void die(const char *what)
{
	fprintf(stderr, "loads: %s: %s\n", what, strerror(errno));
	exit(1);
}

static const char *file_name(void)
{
	const char *name = getenv("BEDE_LOAD_FILE");

	return name ? name : "/data/load.bin";
}

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* Wait until all processes have their memory, or without others for SECONDS. */
static void rest(void)
{
	struct timespec time = { .tv_sec = (time_t)hold,
				 .tv_nsec = (long)((hold - (double)(time_t)hold) * 1e9) };
	char byte;

	if (filled[1] < 0) {
		while (nanosleep(&time, &time))
			;
		return;
	}
	if (write(filled[1], ".", 1) != 1)
		die("the pipe");
	(void)!read(ended[0], &byte, 1); /* returns at the end of file, when the parent closes its side */
}

/* Write to each page a value that depends on the page and on the process (salt). */
static void fill(volatile unsigned char *region, size_t size, unsigned salt)
{
	for (size_t at = 0; at < size; at += PAGE)
		region[at] = (unsigned char)(at / PAGE + salt);
}

static void check(const volatile unsigned char *region, size_t size, unsigned salt)
{
	for (size_t at = 0; at < size; at += PAGE * EACH)
		if (region[at] != (unsigned char)(at / PAGE + salt)) {
			fprintf(stderr, "page %zu lost its content\n", at / PAGE);
			exit(1);
		}
}

static unsigned char *mapped(size_t size, int protection, int flags, int fd, off_t offset)
{
	void *region = mmap(NULL, size, protection, flags, fd, offset);

	if (region == MAP_FAILED)
		die("mmap");
	return region;
}

static void anon(size_t size, unsigned salt)
{
	unsigned char *region = mapped(size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)madvise(region, size, thp ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
	fill(region, size, salt);
	rest();
	check(region, size, salt);
}

static void shmem(size_t size, unsigned salt)
{
	int fd = memfd_create("load", 0);

	if (fd < 0 || ftruncate(fd, (off_t)size))
		die("memfd_create");
	unsigned char *region = mapped(size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	fill(region, size, salt);
	rest();
	check(region, size, salt);
}

static int opened(unsigned salt, size_t size)
{
	int fd = open(file_name(), O_RDONLY);

	if (fd < 0 || lseek(fd, (off_t)(salt * size), SEEK_SET) < 0)
		die(file_name());
	return fd;
}

/* Read or write size bytes of a file, a mebibyte at a time. */
static void stream(int fd, size_t size, int writing, int contents)
{
	static char part[MIB]; /* static, so it is not given back either */

	memset(part, contents, MIB);
	while (size > 0) {
		size_t most = size < MIB ? size : MIB;
		ssize_t done = writing ? write(fd, part, most) : read(fd, part, most);

		if (done <= 0)
			die(writing ? "write" : "the file is too short");
		size -= (size_t)done;
	}
}

static void reads(size_t size, unsigned salt)
{
	int fd = opened(salt, size);

	stream(fd, size, 0, 0);
	rest();
	close(fd);
}

static void maps(size_t size, unsigned salt)
{
	int fd = opened(salt, size);
	const volatile unsigned char *region = mapped(size, PROT_READ, MAP_SHARED, fd, (off_t)(salt * size));
	unsigned total = 0;

	for (size_t at = 0; at < size; at += PAGE)
		total += region[at];
	rest();
	close(fd);
	(void)total;
}

/* Write through the page cache to a file without a name. */
static void writes(size_t size, unsigned salt)
{
	char directory[4096], *end;

	snprintf(directory, sizeof(directory), "%s", file_name());
	end = strrchr(directory, '/');
	if (end)
		*end = '\0';
	int fd = open(directory, O_TMPFILE | O_RDWR, 0600);

	if (fd < 0)
		die(directory);
	stream(fd, size, 1, (int)salt + 1);
	rest();
	close(fd);
}

/* Run the load in so many processes; the parent sleeps for SECONDS while all have their memory. */
static void several(void (*kind)(size_t, unsigned), size_t size, int processes)
{
	int failed = 0, status;
	char byte;

	if (pipe(filled) || pipe(ended))
		die("pipe");
	for (int n = 0; n < processes; n++) {
		pid_t pid = fork();

		if (pid < 0)
			die("fork");
		if (!pid) {
			close(ended[1]);
			kind(size / (size_t)processes / PAGE * PAGE, (unsigned)n);
			_exit(0);
		}
	}
	close(filled[1]);
	filled[1] = -1;
	for (int n = 0; n < processes; n++)
		(void)!read(filled[0], &byte, 1); /* reads nothing if a child died */
	rest();
	close(ended[1]);
	for (int n = 0; n < processes; n++)
		failed |= wait(&status) < 0 || status;
	if (failed) {
		fprintf(stderr, "a child failed\n");
		exit(1);
	}
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*kind)(size_t, unsigned);
		int workers;
	} kinds[] = { { "anon", anon, 1 }, { "shmem", shmem, 1 },  { "read", reads, 1 },
		      { "mmap", maps, 1 }, { "write", writes, 1 }, { "workers", anon, WORKERS } };

	if (argc < 3)
		return 2;
	size_t size = strtoul(argv[2], NULL, 10) * MIB;
	int processes = argc > 3 ? atoi(argv[3]) : 1;

	if (argc > 4)
		hold = strtod(argv[4], NULL);
	for (int i = 5; i < argc; i++) {
		thp |= !strcmp(argv[i], "thp");
		if (!strcmp(argv[i], "wait"))
			while (getchar() != '\n' && !feof(stdin))
				;
	}
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		if (strcmp(argv[1], kinds[i].name) != 0)
			continue;
		double start = now();

		processes *= kinds[i].workers;
		if (processes == 1)
			kinds[i].kind(size, 0);
		else
			several(kinds[i].kind, size, processes);
		printf("%s %zu MiB x%d: %.2f s\n", argv[1], size / MIB, processes / kinds[i].workers,
		       now() - start - hold);
		return 0;
	}
	return 2;
}
