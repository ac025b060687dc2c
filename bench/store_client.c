/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store_client NAME SOCKET MIB ROUNDS REQUESTS: fills a server with so many MiB of records, and asks for one after the other by a
 * Zipf distribution of exponent 0.99, each round so many. Marks each round for the model, and shuts the server down. NAME is
 * that of the server: redis or memcached.
 *
 * A record is what YCSB's is: ten fields of 100 bytes, here in one value. Neighbours in the distribution have keys that are not
 * neighbours.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "patterns.h"

#define VALUE 1000
#define AT_ONCE 32 /* requests that wait for their answers together */

/* How a server is spoken to. */
struct store {
	const char *name;
	uint32_t record; /* bytes that the server uses for a value, its key, and its places in the tables */
	const char *set, *get;	    /* what is before the value, and a question; the key is put in */
	const char *done;	    /* the answer to the first */
	const char *before, *after; /* what is around the value in the answer to the second */
	const char *end;	    /* makes the server end */
};

static const struct store stores[] = {
	{
		.name = "redis",
		.record = 1120,
		.set = "*3\r\n$3\r\nSET\r\n$12\r\nuser%08u\r\n$1000\r\n",
		.get = "*2\r\n$3\r\nGET\r\n$12\r\nuser%08u\r\n",
		.done = "+OK\r\n",
		.before = "$1000\r\n",
		.after = "\r\n",
		.end = "SHUTDOWN NOSAVE\r\n",
	},
	{
		.name = "memcached",
		.record = 1184, /* the size class of 48 bytes before the key, and 8 more */
		.set = "set user%08u 0 0 1000\r\n",
		.get = "get user%08u\r\n",
		.done = "STORED\r\n",
		.before = "VALUE user00000000 0 1000\r\n",
		.after = "\r\nEND\r\n",
		.end = "shutdown\r\n",
	},
};

uint64_t random_state = 88172645463325252ULL;

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static int connected(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	if (strlen(path) >= sizeof(address.sun_path) || fd < 0)
		fail(path);
	memcpy(address.sun_path, path, strlen(path));
	for (int tries = 0; connect(fd, (struct sockaddr *)&address, sizeof(address)); tries++) {
		if (tries == 1000)
			fail(path);
		usleep(10000);
	}
	return fd;
}

static void send_all(int fd, const char *text, size_t length)
{
	while (length) {
		ssize_t sent = write(fd, text, length);

		if (sent <= 0)
			fail("write");
		text += sent;
		length -= (size_t)sent;
	}
}

/* Reads so many bytes, of which the first is the sign of a good answer. */
static void read_answers(int fd, char sign, size_t length)
{
	static char buffer[1 << 16];
	bool first = true;

	while (length) {
		ssize_t got = read(fd, buffer, length < sizeof(buffer) ? length : sizeof(buffer));

		if (got <= 0 || (first && buffer[0] != sign))
			fail("an answer");
		first = false;
		length -= (size_t)got;
	}
}

/* Sets, or gets, the records with these keys. */
static void ask(int fd, const struct store *store, const uint32_t *keys, size_t count, bool set)
{
	static char text[AT_ONCE * (VALUE + 100)];
	size_t length = 0, answer = strlen(store->before) + VALUE + strlen(store->after);

	for (size_t i = 0; i < count; i++) {
		/* NOLINTNEXTLINE: both formats are those above, with one number */
		length += (size_t)sprintf(text + length, set ? store->set : store->get, keys[i]);
		if (set) {
			memset(text + length, 'x', VALUE);
			memcpy(text + length + VALUE, "\r\n", 2);
			length += VALUE + 2;
		}
	}
	send_all(fd, text, length);
	read_answers(fd, set ? *store->done : *store->before, count * (set ? strlen(store->done) : answer));
}

static const struct store *called(const char *name)
{
	for (size_t i = 0; i < sizeof(stores) / sizeof(*stores); i++)
		if (!strcmp(stores[i].name, name))
			return &stores[i];
	return NULL;
}

int main(int argc, char **argv)
{
	const struct store *store = argc == 6 ? called(argv[1]) : NULL;

	if (!store) {
		fputs("usage: store_client NAME SOCKET MIB ROUNDS REQUESTS\n", stderr);
		return 2;
	}
	int fd = connected(argv[2]), rounds = atoi(argv[4]);
	uint32_t records = (uint32_t)((strtoul(argv[3], NULL, 10) << 20) / store->record), keys[AT_ONCE];
	size_t requests = strtoul(argv[5], NULL, 10), count = 0;
	double most = zipf_most(records);

	for (uint32_t key = 0; key < records; key++) {
		keys[count++] = key;
		if (count == AT_ONCE || key + 1 == records) {
			ask(fd, store, keys, count, true);
			count = 0;
		}
	}
	mark(store->name, 0);
	for (int round = 1; round <= rounds; round++) {
		for (size_t i = 0; i < requests; i += AT_ONCE) {
			for (count = 0; count < AT_ONCE; count++)
				keys[count] = (uint32_t)zipf_key(records, most);
			ask(fd, store, keys, AT_ONCE, false);
		}
		mark_epoch(store->name, round);
	}
	send_all(fd, store->end, strlen(store->end));
	close(fd);
	return 0;
}
