/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes every kind of child process that there is, each with memory of its own, until it is told to end.
 *
 *     kinds all MIB [OUTSIDE]    one child a kind, each touching MIB mebibytes; prints "KIND PID" lines, then
 *                                "ready"; ends when standard input does. OUTSIDE is the directory of a cgroup
 *                                outside the container's: further children then move themselves into it
 *     kinds storm SECONDS KIB    forks, from four processes at once, children that touch KIB and end, as fast
 *                                as the machine can; prints how many
 *     kinds once MIB SECONDS     touches MIB, holds it, checks it, and ends with status 7
 *     kinds touch MIB            for the children that execute a program: this is the program
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;
static size_t size;
static const char *outside;
static char program[] = "/proc/self/exe";

static void die(const char *what)
{
	fprintf(stderr, "kinds: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void touch(size_t bytes)
{
	char *region = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (region == MAP_FAILED)
		die("mmap");
	madvise(region, bytes, MADV_NOHUGEPAGE);
	for (size_t at = 0; at < bytes; at += 4096)
		region[at] = 1;
}

static void say(const char *kind, pid_t pid)
{
	char line[64];
	int length = snprintf(line, sizeof(line), "%s %d\n", kind, pid);

	if (write(1, line, (size_t)length) != length)
		die("write");
}

/* What each child does until it is killed, at the latest with the container's first process. */
static void live(void)
{
	touch(size);
	for (;;)
		pause();
}

static pid_t clone3(uint64_t flags, int cgroup)
{
	struct clone_args args = { .flags = flags, .exit_signal = SIGCHLD, .cgroup = (uint64_t)cgroup };

	if (cgroup >= 0)
		args.flags |= CLONE_INTO_CGROUP;
	else
		args.cgroup = 0;
	return (pid_t)syscall(SYS_clone3, &args, sizeof(args));
}

static void child_of_clone3(const char *kind, uint64_t flags, int cgroup)
{
	pid_t pid = clone3(flags, cgroup);

	if (pid < 0)
		die(kind);
	if (!pid)
		live();
	say(kind, pid);
}

static int old_style(void *unused)
{
	(void)unused;
	live();
	return 0;
}

static void child_of_clone(void)
{
	char *stack = malloc(1 << 16);
	pid_t pid = clone(old_style, stack + (1 << 16), SIGCHLD, NULL);

	if (pid < 0)
		die("clone");
	say("clone", pid);
}

static char **arguments(void)
{
	static char number[32];
	static char *words[] = { program, "touch", number, NULL };

	snprintf(number, sizeof(number), "%zu", size >> 20);
	return words;
}

static void child_of_vfork(void)
{
	char **words = arguments();
	pid_t pid = vfork();

	if (pid < 0)
		die("vfork");
	if (!pid) {
		execv(program, words);
		_exit(127);
	}
	say("vfork", pid);
}

static void child_of_spawn(void)
{
	pid_t pid;

	if (posix_spawn(&pid, program, NULL, NULL, arguments(), environ))
		die("posix_spawn");
	say("spawn", pid);
}

static void enter(const char *cgroup)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/cgroup.procs", cgroup);
	int fd = open(path, O_WRONLY);

	if (fd < 0 || write(fd, "0", 1) != 1)
		die(path);
	close(fd);
}

/* Start a daemon: a child whose parent ends at once. */
static void daemonize(const char *kind, bool leaves)
{
	int pipes[2];
	pid_t pid;

	if (pipe(pipes))
		die("pipe");
	pid = fork();
	if (!pid) {
		setsid();
		pid = fork();
		if (pid) {
			if (write(pipes[1], &pid, sizeof(pid)) != sizeof(pid))
				die("write");
			_exit(0);
		}
		if (leaves)
			enter(outside);
		live();
	}
	waitpid(pid, NULL, 0);
	if (read(pipes[0], &pid, sizeof(pid)) != sizeof(pid))
		die("read");
	say(kind, pid);
}

static void child_that_leaves(void)
{
	pid_t pid = fork();

	if (!pid) {
		enter(outside);
		live();
	}
	say("left", pid);
}

static void *threaded(void *unused)
{
	(void)unused;
	touch(size);
	return NULL;
}

/* Make a cgroup below the container's own. Returns its open directory. */
static int own_cgroup(void)
{
	char line[2048], path[4096];
	FILE *file = fopen("/proc/self/cgroup", "r");

	if (!file || !fgets(line, sizeof(line), file) || strncmp(line, "0::", 3))
		die("/proc/self/cgroup");
	fclose(file);
	line[strcspn(line, "\n")] = '\0';
	snprintf(path, sizeof(path), "/sys/fs/cgroup%s/own", line + 3);
	if (mkdir(path, 0755) && errno != EEXIST)
		die(path);
	return open(path, O_RDONLY | O_DIRECTORY);
}

static void all(void)
{
	pthread_t thread;
	pid_t pid = fork();
	int own = own_cgroup();

	if (!pid)
		live();
	say("fork", pid);
	child_of_vfork();
	child_of_spawn();
	child_of_clone();
	child_of_clone3("clone3", 0, -1);
	child_of_clone3("newpid", CLONE_NEWPID, -1);
	child_of_clone3("newcgroup", CLONE_NEWPID | CLONE_NEWCGROUP | CLONE_NEWNS, -1);
	child_of_clone3("own", 0, own);
	daemonize("daemon", false);
	if (pthread_create(&thread, NULL, threaded, NULL) || pthread_join(thread, NULL))
		die("pthread");
	say("thread", getpid());
	if (outside) {
		int fd = open(outside, O_RDONLY | O_DIRECTORY);

		if (fd < 0)
			die(outside);
		child_of_clone3("born-outside", 0, fd);
		child_of_clone3("newpid-outside", CLONE_NEWPID | CLONE_NEWCGROUP, fd);
		child_that_leaves();
		daemonize("daemon-outside", true);
	}
}

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static long storm(double seconds, size_t bytes)
{
	double end = now() + seconds;
	long count = 0;

	for (; now() < end; count++) {
		pid_t pid = fork();

		if (pid < 0)
			die("fork");
		if (!pid) {
			touch(bytes);
			_exit(0);
		}
		waitpid(pid, NULL, 0);
	}
	return count;
}

static void storms(double seconds, size_t bytes)
{
	long *counts = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0), total = 0;

	for (int i = 0; i < 4; i++)
		if (!fork()) {
			counts[i] = storm(seconds, bytes);
			_exit(0);
		}
	while (wait(NULL) > 0)
		;
	for (int i = 0; i < 4; i++)
		total += counts[i];
	printf("%ld forks in %.0f s\n", total, seconds);
}

static int once(double seconds)
{
	unsigned char *region =
		mmap(NULL, size + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (region == MAP_FAILED)
		die("mmap");
	madvise(region, size, MADV_NOHUGEPAGE);
	for (size_t at = 0; at < size; at += 4096)
		region[at] = (unsigned char)(at >> 12 | 1);
	nanosleep(&(struct timespec){ (time_t)seconds, (long)(seconds * 1e9) % 1000000000 }, NULL);
	for (size_t at = 0; at < size; at += 4096)
		if (region[at] != (unsigned char)(at >> 12 | 1))
			return 1;
	return 7;
}

int main(int argc, char **argv)
{
	char byte;

	if (argc < 3)
		return 2;
	size = strtoul(argv[2], NULL, 10) << 20;
	if (!strcmp(argv[1], "touch")) {
		live();
	} else if (!strcmp(argv[1], "once") && argc == 4) {
		return once(strtod(argv[3], NULL));
	} else if (!strcmp(argv[1], "storm") && argc == 4) {
		storms(strtod(argv[2], NULL), strtoul(argv[3], NULL, 10) << 10);
	} else if (!strcmp(argv[1], "all")) {
		outside = argc > 3 ? argv[3] : NULL;
		all();
		if (write(1, "ready\n", 6) != 6)
			die("write");
		while (read(0, &byte, 1) > 0)
			;
		kill(0, SIGKILL);
	}
	return 0;
}
