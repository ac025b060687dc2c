/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "procevents.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/cn_proc.h>
#include <linux/connector.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>

#define AT_ONCE 32  /* datagrams in one system call */
#define MESSAGE 256 /* bytes of a datagram, more than any event has */
#define COUNT(array) (sizeof(array) / sizeof(*(array)))

/* A datagram has one event: a netlink header, a connector header and the event. */
#define CONNECTOR sizeof(struct nlmsghdr)
#define EVENT (CONNECTOR + sizeof(struct cn_msg))
#define FIELD(name) (EVENT + offsetof(struct proc_event, name))

int bede_procevents_filter(int fd, int forks, int execs)
{
	/* A socket filter loads words as big-endian. */
	const uint32_t fork = forks ? htonl(PROC_EVENT_FORK) : UINT32_MAX;
	const uint32_t exec = execs ? htonl(PROC_EVENT_EXEC) : UINT32_MAX;
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, FIELD(what)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, exec, 5, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, fork, 0, 5),
		/* Drop new threads: the pid of a thread is not the pid of its process (tgid). */
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, FIELD(event_data.fork.child_pid)),
		BPF_STMT(BPF_MISC | BPF_TAX, 0),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, FIELD(event_data.fork.child_tgid)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_X, 0, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	struct sock_fprog program = { .len = COUNT(code), .filter = code };

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) ? -errno : 0;
}

bool bede_procevent_parse(const char *text, size_t length, struct bede_procevent *out)
{
	struct cn_msg connector;
	struct proc_event event = { 0 };

	if (length < FIELD(event_data.exec) + sizeof(event.event_data.exec))
		return false;
	memcpy(&connector, text + CONNECTOR, sizeof(connector));
	memcpy(&event, text + EVENT, length - EVENT < sizeof(event) ? length - EVENT : sizeof(event));
	if (connector.id.idx != CN_IDX_PROC || connector.id.val != CN_VAL_PROC)
		return false;
	*out = (struct bede_procevent){ .at_ns = event.timestamp_ns };
	if ((uint32_t)event.what == PROC_EVENT_EXEC) {
		out->pid = (uint32_t)event.event_data.exec.process_tgid;
		out->exec = 1;
		return true;
	}
	if ((uint32_t)event.what != PROC_EVENT_FORK ||
	    length < FIELD(event_data.fork) + sizeof(event.event_data.fork))
		return false;
	out->parent = (uint32_t)event.event_data.fork.parent_tgid;
	out->pid = (uint32_t)event.event_data.fork.child_tgid;
	return event.event_data.fork.child_pid == event.event_data.fork.child_tgid;
}

/* Receive once. Returns the number of datagrams or a negative errno; *count grows by the events in them. */
static int receive(int fd, struct bede_procevent *out, unsigned most, unsigned *count)
{
	char text[AT_ONCE][MESSAGE];
	struct sockaddr_nl from[AT_ONCE];
	struct iovec part[AT_ONCE];
	struct mmsghdr header[AT_ONCE];

	if (most > AT_ONCE)
		most = AT_ONCE;
	memset(header, 0, sizeof(header));
	for (unsigned i = 0; i < most; i++) {
		part[i] = (struct iovec){ text[i], MESSAGE };
		header[i].msg_hdr = (struct msghdr){ .msg_name = &from[i],
						     .msg_namelen = sizeof(from[i]),
						     .msg_iov = &part[i],
						     .msg_iovlen = 1 };
	}
	int got = recvmmsg(fd, header, most, MSG_DONTWAIT, NULL);

	if (got < 0)
		return -errno;
	for (int i = 0; i < got; i++)
		/* Accept messages from the kernel alone. */
		if (from[i].nl_pid == 0 && bede_procevent_parse(text[i], header[i].msg_len, &out[*count]))
			++*count;
	return got;
}

int bede_procevents_read(int fd, struct bede_procevent *out, unsigned most, unsigned *count)
{
	int err = 0;

	*count = 0;
	while (*count < most) {
		int got = receive(fd, out, most - *count, count);

		/* The kernel says this once for any number of lost events; those in the queue are valid. */
		if (got == -ENOBUFS)
			err = got;
		else if (got < 0 && got != -EINTR)
			return got == -EAGAIN ? err : got;
	}
	return err;
}
