/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bede-mark: speaks to the model of the machine, from a shell. See `usage` for what it does.
 * On a machine without the model every mark is a "nop".
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "mark.h"
#include "offsets.h"
#include "placement.h"

#define CGROUPS "/sys/fs/cgroup"
#define FLUSHERS CGROUPS "/bede-model"
#define FLUSH_NS \
	1000000 /* between two flushes of a CPU's TLB; DAMON looks at a page every 5 ms at the most often */

static const char usage[] =
	"usage: bede-mark LABEL          put a line into the model's report: all counters, as they are now\n"
	"       bede-mark --follow PATH  log misses by page, of the processes in the cgroup PATH from now "
	"on\n"
	"       bede-mark --epoch        end an epoch of that log\n"
	"       bede-mark --place FILE PID LOCAL FAR  put what is in FILE on the node LOCAL, the rest of PID "
	"on FAR\n"
	"       bede-mark --begin        begin to count; the machine has done so before its command runs\n";

static char text[BEDE_MARK_TEXT];
static size_t used;

static void add(const char *format, const char *a, unsigned long long b)
{
	int n = snprintf(text + used, sizeof(text) - used, format, a, b);

	if (n > 0 && used + (size_t)n < sizeof(text))
		used += (size_t)n;
	else
		text[used] = 0; /* a line that does not fit is left out as a whole */
}

static int add_cgroup(const char *path, const struct stat *about, int kind, struct FTW *where)
{
	(void)where;
	if (kind == FTW_D)
		add("cgroup %s %llu\n", path[sizeof(CGROUPS) - 1] ? path + sizeof(CGROUPS) - 1 : "/",
		    (unsigned long long)about->st_ino);
	return 0;
}

static void add_moves(void)
{
	static const char *const names[] = { "pgmigrate_", "pgdemote_", "pgpromote_" };
	FILE *file = fopen("/proc/vmstat", "re");
	char name[64];
	unsigned long long value;

	while (file && fscanf(file, "%63s %llu", name, &value) == 2)
		for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
			if (!strncmp(name, names[i], strlen(names[i])))
				add("vmstat %s %llu\n", name, value);
	if (file)
		fclose(file);
}

static int report(const char *label)
{
	if (strchr(label, '\n') || strlen(label) > 200) {
		fputs("bede-mark: a label is one line of 200 characters at most\n", stderr);
		return 2;
	}
	add("%s\n", label, 0);
	add_moves();
	nftw(CGROUPS, add_cgroup, 16, FTW_PHYS | FTW_MOUNT);
	BEDE_MARK(BEDE_MARK_REPORT, text);
	return 0;
}

static uint64_t symbol(const char *wanted)
{
	FILE *file = fopen("/proc/kallsyms", "re");
	unsigned long long address, found = 0;
	char kind, name[256];

	while (!found && file && fscanf(file, "%llx %c %255s%*[^\n]", &address, &kind, name) == 3)
		if (!strcmp(name, wanted))
			found = address;
	if (file)
		fclose(file);
	return found;
}

static int begin(void)
{
	static struct bede_mark_layout layout;
	const struct {
		const char *structure, *member;
		uint64_t *offset;
	} wanted[] = {
		{ "task_struct", "mm", &layout.task_mm },
		{ "task_struct", "comm", &layout.task_comm },
		{ "task_struct", "cgroups", &layout.task_cgroups },
		{ "css_set", "dfl_cgrp", &layout.css_set_cgroup },
		{ "cgroup", "kn", &layout.cgroup_kn },
		{ "kernfs_node", "id", &layout.kn_id },
	};
	struct bede_btf btf;
	int error = bede_btf_open(&btf, BEDE_BTF_PATH);

	for (size_t i = 0; !error && i < sizeof(wanted) / sizeof(*wanted); i++)
		error = offset_of(&btf, wanted[i].structure, wanted[i].member, wanted[i].offset);
	layout.switch_to = error ? 0 : symbol("__switch_to");
	bede_btf_close(&btf);
	if (!layout.switch_to) {
		memset(&layout, 0, sizeof(layout));
		fputs("bede-mark: this kernel has no type information (BTF): cgroups are not told apart\n",
		      stderr);
	}
	BEDE_MARK(BEDE_MARK_LAYOUT, &layout);
	return 0;
}

static int follow(const char *path)
{
	struct stat about;

	if (stat(path, &about)) {
		fprintf(stderr, "bede-mark: %s: %s\n", path, strerror(errno));
		return 2;
	}
	BEDE_MARK(BEDE_MARK_FOLLOW, about.st_ino);
	return 0;
}

/* Puts the process's pages that are in a placement on one node, all its others on another. */
static int place(const char *path, const char *pid, const char *local, const char *far)
{
	int error;

	if (strspn(pid, "0123456789") != strlen(pid) || strspn(local, "0123456789") != strlen(local) ||
	    strspn(far, "0123456789") != strlen(far) || !*pid || !*local || !*far) {
		fputs(usage, stderr);
		return 2;
	}
	error = placement_apply(path, atoi(pid), atoi(local), atoi(far));
	if (error)
		fprintf(stderr, "bede-mark: %s: %s\n", path, strerror(-error));
	return error ? 1 : 0;
}

static void *flusher(void *cpu)
{
	struct timespec next;
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((int)(intptr_t)cpu, &set);
	if (pthread_setaffinity_np(pthread_self(), sizeof(set), &set))
		return NULL;
	clock_gettime(CLOCK_MONOTONIC, &next);
	for (;;) {
		next.tv_nsec += FLUSH_NS;
		if (next.tv_nsec >= 1000000000) {
			next.tv_nsec -= 1000000000;
			next.tv_sec++;
		}
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
	}
}

static void join(const char *cgroup)
{
	char path[256];
	int fd;

	mkdir(cgroup, 0755);
	snprintf(path, sizeof(path), "%s/cgroup.procs", cgroup);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd >= 0) {
		if (write(fd, "0", 1) != 1)
			perror("bede-mark: own cgroup");
		close(fd);
	}
}

/*
 * QEMU keeps translations for as long as the guest does not flush them, and Linux does not when it clears an accessed
 * bit. A page in use would look idle for minutes then. Emulated CPUs have no PCIDs, so a switch to another address
 * space and back flushes everything.
 */
static int flush_tlbs(void)
{
	struct sched_param first = { .sched_priority = 1 };
	pthread_t thread;

	if (daemon(0, 0))
		return 1;
	join(FLUSHERS);
	if (sched_setscheduler(0, SCHED_FIFO, &first))
		return 1;
	for (long cpu = 0; cpu < sysconf(_SC_NPROCESSORS_CONF); cpu++)
		if (pthread_create(&thread, NULL, flusher, (void *)cpu))
			return 1;
	for (;;)
		pause();
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "--begin"))
		return begin();
	if (argc == 2 && !strcmp(argv[1], "--flush-tlbs"))
		return flush_tlbs();
	if (argc == 2 && !strcmp(argv[1], "--epoch")) {
		BEDE_MARK(BEDE_MARK_EPOCH, 0);
		return 0;
	}
	if (argc == 6 && !strcmp(argv[1], "--place"))
		return place(argv[2], argv[3], argv[4], argv[5]);
	if (argc == 3 && !strcmp(argv[1], "--follow"))
		return follow(argv[2]);
	if (argc == 2 && *argv[1] && *argv[1] != '-')
		return report(argv[1]);
	fputs(usage, argc == 2 && !strcmp(argv[1], "--help") ? stdout : stderr);
	return argc == 2 && !strcmp(argv[1], "--help") ? 0 : 2;
}
