/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "bpf.h"

#include <errno.h>
#include <linux/bpf.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "btf.h"
#include "kfile.h"
#include "thread.h"

#define PROGRAMS 2
#define PAGE_MASK 4095

/* What the programs write and this process has mapped. */
struct reported {
	uint64_t count;
	uint64_t thread; /* whose looks are reported: process number << 32 | thread number */
	uint64_t page[BEDE_BPF_MOST];
};

static const char *const functions[PROGRAMS] = { "ptep_test_and_clear_young", "pmdp_test_and_clear_young" };
static int programs[PROGRAMS] = { -1, -1 }, links[PROGRAMS] = { -1, -1 };
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of links and users */
static unsigned users;
static volatile struct reported *reported;

static int bpf(int command, union bpf_attr *attr)
{
	long result = syscall(SYS_bpf, command, attr, sizeof(*attr));

	return result < 0 ? -errno : (int)result;
}

static struct bpf_insn insn(uint8_t code, uint8_t to, uint8_t from, int16_t offset, int32_t value)
{
	return (struct bpf_insn){
		.code = code, .dst_reg = to & 15, .src_reg = from & 15, .off = offset, .imm = value
	};
}

/* One program: huge is 0 or BEDE_BPF_HUGE. Its argument is the array vma, address, entry, result. */
static int load(int map, uint32_t function, int32_t huge)
{
	enum { R0, R1, R2, R3, R6 = 6, R7 };
	const struct bpf_insn program[] = {
		insn(BPF_ALU64 | BPF_MOV | BPF_X, R6, R1, 0, 0),
		insn(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_get_current_pid_tgid),
		insn(BPF_LD | BPF_IMM | BPF_DW, R7, BPF_PSEUDO_MAP_VALUE, 0, map),
		insn(0, 0, 0, 0, 0),
		insn(BPF_LDX | BPF_MEM | BPF_DW, R2, R7, offsetof(struct reported, thread), 0),
		insn(BPF_JMP | BPF_JNE | BPF_X, R0, R2, 14, 0),
		insn(BPF_LDX | BPF_MEM | BPF_DW, R1, R6, 24, 0),
		insn(BPF_JMP32 | BPF_JEQ | BPF_K, R1, 0, 12, 0), /* the result: it was not accessed */
		insn(BPF_LDX | BPF_MEM | BPF_DW, R2, R7, offsetof(struct reported, count), 0),
		insn(BPF_JMP | BPF_JGE | BPF_K, R2, 0, 10, BEDE_BPF_MOST),
		insn(BPF_LDX | BPF_MEM | BPF_DW, R3, R6, 8, 0),
		insn(BPF_ALU64 | BPF_OR | BPF_K, R3, 0, 0, PAGE_MASK),
		insn(BPF_ALU64 | BPF_XOR | BPF_K, R3, 0, 0, PAGE_MASK ^ huge),
		insn(BPF_ALU64 | BPF_MOV | BPF_X, R1, R7, 0, 0),
		insn(BPF_ALU64 | BPF_LSH | BPF_K, R2, 0, 0, 3),
		insn(BPF_ALU64 | BPF_ADD | BPF_X, R1, R2, 0, 0),
		insn(BPF_STX | BPF_MEM | BPF_DW, R1, R3, offsetof(struct reported, page), 0),
		/* The next one: R2 / 8 + 1. */
		insn(BPF_ALU64 | BPF_RSH | BPF_K, R2, 0, 0, 3),
		insn(BPF_ALU64 | BPF_ADD | BPF_K, R2, 0, 0, 1),
		insn(BPF_STX | BPF_MEM | BPF_DW, R7, R2, 0, 0),
		insn(BPF_ALU64 | BPF_MOV | BPF_K, R0, 0, 0, 0),
		insn(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
	};
	union bpf_attr attr = { .prog_type = BPF_PROG_TYPE_TRACING,
				.insn_cnt = sizeof(program) / sizeof(*program),
				.insns = (uintptr_t)program,
				.license = (uintptr_t)"Apache-2.0",
				.expected_attach_type = BPF_TRACE_FEXIT,
				.attach_btf_id = function };

	return bpf(BPF_PROG_LOAD, &attr);
}

static int make_map(void)
{
	union bpf_attr attr = { .map_type = BPF_MAP_TYPE_ARRAY,
				.key_size = sizeof(uint32_t),
				.value_size = sizeof(struct reported),
				.max_entries = 1,
				.map_flags = BPF_F_MMAPABLE };

	return bpf(BPF_MAP_CREATE, &attr);
}

int bede_bpf_load(void)
{
	struct bede_btf btf;
	uint32_t numbers[PROGRAMS] = { 0 };
	int err = bede_btf_open(&btf, BEDE_BTF_PATH);

	for (int i = 0; i < PROGRAMS && !err; i++) {
		numbers[i] = bede_btf_function(&btf, functions[i]);
		err = numbers[i] ? 0 : -ENOENT;
	}
	bede_btf_close(&btf);
	BEDE_FD map = err ? err : make_map();

	if (map < 0)
		return map;
	for (int i = 0; i < PROGRAMS; i++) {
		programs[i] = load(map, numbers[i], i ? BEDE_BPF_HUGE : 0);
		if (programs[i] < 0)
			return programs[i];
	}
	void *mapped = mmap(NULL, sizeof(struct reported), PROT_READ | PROT_WRITE, MAP_SHARED, map, 0);

	if (mapped == MAP_FAILED)
		return -errno;
	reported = mapped;
	return 0;
}

bool bede_bpf_is_loaded(void)
{
	return reported;
}

static void close_all(int *fds)
{
	for (int i = 0; i < PROGRAMS; i++) {
		bede_close(&fds[i]);
		fds[i] = -1;
	}
}

/* Closes take up to seconds, since the kernel waits for all tasks. Nobody waits for this thread. */
static void *run_close(void *argument)
{
	close_all(argument);
	free(argument);
	return NULL;
}

static void close_later(int *fds)
{
	int *copy = malloc(PROGRAMS * sizeof(*copy));
	pthread_t thread;

	if (copy)
		memcpy(copy, fds, PROGRAMS * sizeof(*copy));
	if (copy && !bede_thread_start(&thread, "bede-closer", 64, run_close, copy)) {
		pthread_detach(thread);
		return;
	}
	free(copy);
	close_all(fds);
}

static int attach(void)
{
	for (int i = 0; i < PROGRAMS; i++) {
		union bpf_attr attr = { .raw_tracepoint.prog_fd = (uint32_t)programs[i] };

		links[i] = bpf(BPF_RAW_TRACEPOINT_OPEN, &attr);
		if (links[i] < 0) {
			int err = links[i];

			close_all(links);
			return err;
		}
	}
	return 0;
}

int bede_bpf_attach(void)
{
	pthread_mutex_lock(&lock);
	int err = users ? 0 : attach();

	users += !err;
	pthread_mutex_unlock(&lock);
	return err;
}

const uint64_t *bede_bpf_pages(uint64_t *count)
{
	*count = reported->count;
	return (const uint64_t *)reported->page;
}

void bede_bpf_rewind(void)
{
	reported->thread = (uint64_t)getpid() << 32 | (uint32_t)gettid();
	reported->count = 0;
}

void bede_bpf_hush(void)
{
	reported->thread = 0;
}

void bede_bpf_detach(void)
{
	pthread_mutex_lock(&lock);
	if (!--users) {
		close_later(links);
		memset(links, -1, sizeof(links));
	}
	pthread_mutex_unlock(&lock);
}
