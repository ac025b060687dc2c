/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sqlite_client FILE ROUNDS REQUESTS: asks the SQLite database FILE for one record after the other by a Zipf distribution of
 * exponent 0.99, each round so many, and marks each round for the model. The database is mapped, so its pages are page cache.
 *
 * It has the table "records", with the numbers from 1 on as its key, and a "value" in each. The library is opened when the
 * program runs, so that it need not be there to build it.
 */
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "patterns.h"

#define ROW 100 /* SQLITE_ROW */
#define MAP "PRAGMA mmap_size=1073741824"

typedef int (*open_t)(const char *name, void **database);
typedef int (*exec_t)(void *database, const char *sql, void *callback, void *argument, char **error);
typedef int (*prepare_t)(void *database, const char *sql, int length, void **statement, const char **tail);
typedef int (*bind_t)(void *statement, int position, int64_t value);
typedef int (*step_t)(void *statement);
typedef int64_t (*number_t)(void *statement, int column);
typedef const unsigned char *(*blob_t)(void *statement, int column);

uint64_t random_state = 88172645463325252ULL;

static void *named(void *library, const char *name)
{
	void *found = library ? dlsym(library, name) : NULL;

	if (!found) {
		fprintf(stderr, "sqlite_client: %s\n", dlerror());
		exit(1);
	}
	return found;
}

static void check(int failed, const char *what)
{
	if (failed) {
		fprintf(stderr, "sqlite_client: %s\n", what);
		exit(1);
	}
}

int main(int argc, char **argv)
{
	void *library = dlopen("libsqlite3.so.0", RTLD_NOW), *database, *statement;
	exec_t exec = (exec_t)named(library, "sqlite3_exec");
	prepare_t prepare = (prepare_t)named(library, "sqlite3_prepare_v2");
	step_t step = (step_t)named(library, "sqlite3_step"), reset = (step_t)named(library, "sqlite3_reset");
	step_t finalize = (step_t)named(library, "sqlite3_finalize"),
	       closed = (step_t)named(library, "sqlite3_close");
	bind_t bind = (bind_t)named(library, "sqlite3_bind_int64");
	number_t number = (number_t)named(library, "sqlite3_column_int64");
	blob_t blob = (blob_t)named(library, "sqlite3_column_blob");

	if (argc != 4) {
		fputs("usage: sqlite_client FILE ROUNDS REQUESTS\n", stderr);
		return 2;
	}
	check(((open_t)named(library, "sqlite3_open"))(argv[1], &database), argv[1]);
	check(exec(database, MAP, NULL, NULL, NULL), MAP);
	check(prepare(database, "SELECT count(*) FROM records", -1, &statement, NULL), "no records");
	check(step(statement) != ROW, "no number of records");

	uint64_t records = (uint64_t)number(statement, 0), sum = 0;
	int rounds = atoi(argv[2]);
	long requests = atol(argv[3]);
	double most = zipf_most(records);

	check(finalize(statement), "the first question");
	check(prepare(database, "SELECT value FROM records WHERE id = ?", -1, &statement, NULL), "no values");
	mark("sqlite", 0);
	for (int round = 1; round <= rounds; round++) {
		for (long i = 0; i < requests; i++) {
			check(bind(statement, 1, (int64_t)zipf_key(records, most) + 1), "a key");
			check(step(statement) != ROW, "a record is not there");
			sum += *blob(statement, 0);
			check(reset(statement), "a question");
		}
		mark_epoch("sqlite", round);
	}
	check(finalize(statement), "the last question");
	check(closed(database), "the end");
	return sum == 0;
}
