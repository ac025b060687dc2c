#define _GNU_SOURCE
#include "births.h"

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

#define AT_ONCE 32
#define MESSAGE 256 /* more than any event has */
#define COUNT(array) (sizeof(array) / sizeof(*(array)))

/* One datagram holds one event. */
struct message {
	struct nlmsghdr netlink;
	struct cn_msg connector;
	struct proc_event event;
} __attribute__((packed));

#define FIELD(name) offsetof(struct message, event.event_data.name)

int bede_births_filter(int fd, int forks, int execs)
{
	/* A filter loads words as big-endian ones. */
	const uint32_t fork = forks ? htonl(PROC_EVENT_FORK) : UINT32_MAX;
	const uint32_t exec = execs ? htonl(PROC_EVENT_EXEC) : UINT32_MAX;
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct message, event.what)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, exec, 5, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, fork, 0, 5),
		/* A thread's own number is not that of its process. */
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, FIELD(fork.child_pid)),
		BPF_STMT(BPF_MISC | BPF_TAX, 0),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, FIELD(fork.child_tgid)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_X, 0, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	struct sock_fprog program = { .len = COUNT(code), .filter = code };

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) ? -errno : 0;
}

bool bede_birth_parse(const char *text, size_t length, struct bede_birth *out)
{
	struct message message;

	if (length < FIELD(exec) + sizeof(message.event.event_data.exec))
		return false;
	memset(&message, 0, sizeof(message));
	memcpy(&message, text, length < sizeof(message) ? length : sizeof(message));
	if (message.connector.id.idx != CN_IDX_PROC || message.connector.id.val != CN_VAL_PROC)
		return false;
	out->at_ns = message.event.timestamp_ns;
	if ((uint32_t)message.event.what == PROC_EVENT_EXEC) {
		out->parent = 0;
		out->pid = (uint32_t)message.event.event_data.exec.process_tgid;
		out->exec = 1;
		return true;
	}
	if ((uint32_t)message.event.what != PROC_EVENT_FORK ||
	    length < FIELD(fork) + sizeof(message.event.event_data.fork))
		return false;
	out->parent = (uint32_t)message.event.event_data.fork.parent_tgid;
	out->pid = (uint32_t)message.event.event_data.fork.child_tgid;
	out->exec = 0;
	return message.event.event_data.fork.child_pid == message.event.event_data.fork.child_tgid;
}

/* One system call's worth. A negative errno, or how many datagrams came; *count grows. */
static int receive(int fd, struct bede_birth *out, unsigned most, unsigned *count)
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
		/* Only the kernel is believed. */
		if (from[i].nl_pid == 0 && bede_birth_parse(text[i], header[i].msg_len, &out[*count]))
			++*count;
	return got;
}

int bede_births_read(int fd, struct bede_birth *out, unsigned most, unsigned *count)
{
	int err = 0;

	*count = 0;
	while (*count < most) {
		int got = receive(fd, out, most - *count, count);

		/* Said once for any number of lost ones; what is in the queue is still good. */
		if (got == -ENOBUFS)
			err = got;
		else if (got < 0 && got != -EINTR)
			return got == -EAGAIN ? err : got;
	}
	return err;
}
