/* SPDX-License-Identifier: Apache-2.0 */
/*
 * redis_client SOCKET MIB ROUNDS REQUESTS: fills a Redis server with so many MiB of records, and asks for one after the other by a
 * Zipf distribution of exponent 0.99, each round so many. Marks each round for the model, and shuts the server down.
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

#include "mark.h"
#include "patterns.h"

#define VALUE 1000
#define RECORD 1120 /* bytes that the server uses for a value, its key, and its places in the tables */
#define AT_ONCE 32  /* requests that wait for their answers together */
#define KEY "*%d\r\n$3\r\n%s\r\n$12\r\nuser%08u\r\n"
#define ANSWER (sizeof("$1000\r\n") - 1 + VALUE + 2)

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
static void ask(int fd, const uint32_t *keys, size_t count, bool set)
{
	static char text[AT_ONCE * (VALUE + 100)];
	size_t length = 0;

	for (size_t i = 0; i < count; i++) {
		length += (size_t)sprintf(text + length, KEY, set ? 3 : 2, set ? "SET" : "GET", keys[i]);
		if (set) {
			length += (size_t)sprintf(text + length, "$%d\r\n", VALUE);
			memset(text + length, 'x', VALUE);
			memcpy(text + length + VALUE, "\r\n", 2);
			length += VALUE + 2;
		}
	}
	send_all(fd, text, length);
	read_answers(fd, set ? '+' : '$', count * (set ? sizeof("+OK\r\n") - 1 : ANSWER));
}

static void mark_round(int round)
{
	char label[32];

	snprintf(label, sizeof(label), "redis %d", round);
	BEDE_MARK(BEDE_MARK_REPORT, label);
}

int main(int argc, char **argv)
{
	if (argc != 5) {
		fputs("usage: redis_client SOCKET MIB ROUNDS REQUESTS\n", stderr);
		return 2;
	}
	int fd = connected(argv[1]), rounds = atoi(argv[3]);
	uint32_t records = (uint32_t)((strtoul(argv[2], NULL, 10) << 20) / RECORD), keys[AT_ONCE];
	size_t requests = strtoul(argv[4], NULL, 10), count = 0;
	double most = zipf_most(records);

	for (uint32_t key = 0; key < records; key++) {
		keys[count++] = key;
		if (count == AT_ONCE || key + 1 == records) {
			ask(fd, keys, count, true);
			count = 0;
		}
	}
	mark_round(0);
	for (int round = 1; round <= rounds; round++) {
		for (size_t i = 0; i < requests; i += AT_ONCE) {
			for (count = 0; count < AT_ONCE; count++)
				keys[count] = (uint32_t)zipf_key(records, most);
			ask(fd, keys, AT_ONCE, false);
		}
		BEDE_MARK(BEDE_MARK_EPOCH, 0);
		mark_round(round);
	}
	send_all(fd, "SHUTDOWN NOSAVE\r\n", sizeof("SHUTDOWN NOSAVE\r\n") - 1);
	close(fd);
	return 0;
}
