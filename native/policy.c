/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "policy.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define BITS 65 /* set_mempolicy reads one bit less */

int bede_policy_set(int mode, uint64_t mask)
{
	return syscall(SYS_set_mempolicy, mode, mask ? &mask : NULL, mask ? BITS : 0) ? -errno : 0;
}

#ifdef __x86_64__
#include <sys/user.h>

#define SYSCALL 0x050fU /* the instruction, as a little-endian word */
#define RED_ZONE 256 /* bytes below the stack pointer to leave alone; the ABI reserves 128 for the program */

/* Wait until the thread stops. A signal of its own goes to *pending, and is delivered later. */
static int stopped(int tid, int *pending)
{
	int status;

	for (;;) {
		if (waitpid(tid, &status, __WALL) < 0) {
			if (errno == EINTR)
				continue;
			return -errno;
		}
		if (!WIFSTOPPED(status))
			return -ESRCH;
		if (WSTOPSIG(status) == SIGTRAP)
			return 0;
		if (!(status >> 16))
			*pending = WSTOPSIG(status);
		if (ptrace(PTRACE_SINGLESTEP, tid, 0, 0))
			return -errno;
	}
}

static int call(int tid, int mode, uint64_t mask, int *pending)
{
	struct user_regs_struct regs, saved;

	if (ptrace(PTRACE_GETREGS, tid, 0, &saved))
		return -errno;
	/* Only if it waits in a system call: its instruction is just before rip, nothing is half done. */
	if ((long long)saved.orig_rax < 0)
		return -EAGAIN;
	errno = 0;
	long code = ptrace(PTRACE_PEEKTEXT, tid, saved.rip - 2, 0);

	if (errno || (code & 0xffff) != SYSCALL)
		return -EAGAIN;
	unsigned long long where = (saved.rsp - RED_ZONE) & ~7ULL;
	long before = ptrace(PTRACE_PEEKDATA, tid, where, 0);

	if (errno || ptrace(PTRACE_POKEDATA, tid, where, mask))
		return -errno;
	regs = saved;
	regs.rip -= 2;
	regs.rax = SYS_set_mempolicy;
	regs.orig_rax = (unsigned long long)-1; /* do not restart the interrupted call yet */
	regs.rdi = (unsigned long long)mode;
	regs.rsi = mask ? where : 0;
	regs.rdx = mask ? BITS : 0;
	int err = ptrace(PTRACE_SETREGS, tid, 0, &regs) ? -errno : 0;

	if (!err)
		err = ptrace(PTRACE_SINGLESTEP, tid, 0, 0) ? -errno : stopped(tid, pending);
	if (!err)
		err = ptrace(PTRACE_GETREGS, tid, 0, &regs) ? -errno : (int)(long long)regs.rax;
	if (ptrace(PTRACE_POKEDATA, tid, where, before) || ptrace(PTRACE_SETREGS, tid, 0, &saved))
		err = err ? err : -errno;
	return err;
}

int bede_policy_inject(int tid, int mode, uint64_t mask)
{
	int pending = 0;

	if (ptrace(PTRACE_SEIZE, tid, 0, 0))
		return -errno;
	int err = ptrace(PTRACE_INTERRUPT, tid, 0, 0) ? -errno : stopped(tid, &pending);

	err = err ? err : call(tid, mode, mask, &pending);
	if (ptrace(PTRACE_DETACH, tid, 0, pending) && !err)
		err = -errno;
	return err;
}
#else
int bede_policy_inject(int tid, int mode, uint64_t mask)
{
	(void)tid;
	(void)mode;
	(void)mask;
	return -ENOSYS;
}
#endif
