/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs, under the sanitizers and without a kernel, what decides which pages are local.
 *
 *     heat learn SCORES MEASURED WINDOWS BEFORE | window MEASURED WINDOW_US BOUND
 *     heat forecast SCORES WINDOWS MEMORY OF_WINDOWS | drift SCORES MEASURED WINDOWS BEFORE
 *     heat trace FORMAT PAGE NAME... | function BTF NAME | recent | ticket | visit PID TIMES HELPS
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>

#include "btf.h"
#include "forecast.h"
#include "heat.h"
#include "order.h"
#include "range_text.h"
#include "recent.h"
#include "scores.h"
#include "shared.h"
#include "ticket.h"
#include "trace.h"
#include "visit.h"

static uint64_t bytes_of(const struct bede_ranges *ranges)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < ranges->count; i++)
		bytes += ranges->at[i].end - ranges->at[i].start;
	return bytes;
}

/* Reads scores that are averages of so many windows. */
static int read_scores(const char *path, const char *windows, struct bede_ranges *out)
{
	int err = read_ranges(path, out);

	for (size_t i = 0; i < out->count; i++)
		out->at[i].windows = (uint16_t)atoi(windows);
	return err;
}

static void make(const struct bede_ranges *scores, const char *windows, uint64_t memory,
		 struct bede_forecast *out)
{
	bede_forecast_make(scores, (unsigned)atoi(windows), 1 / atof(windows), memory, out);
}

static int learn(char **argv)
{
	struct bede_ranges scores = { 0 }, measured = { 0 };

	if (read_scores(argv[2], argv[5], &scores) || read_ranges(argv[3], &measured))
		return 2;
	bede_order_by_place(&scores);
	bede_order_by_place(&measured);
	bede_scores_learn(&scores, &measured, (unsigned)atoi(argv[4]), (unsigned)atoi(argv[5]),
			  bytes_of(&measured));
	show_ranges(&scores);
	free(scores.at);
	return measured.at ? 1 : 0;
}

static int merge(char **argv)
{
	struct bede_ranges measured = { 0 }, vmas = { 0 };

	if (read_ranges(argv[2], &measured) || read_ranges(argv[3], &vmas))
		return 2;
	bede_shared_limit(&vmas);
	bede_order_by_address(&measured);
	bede_order_by_address(&vmas);
	int err = bede_shared_merge(&measured, &vmas);

	show_ranges(&measured);
	free(measured.at);
	free(vmas.at);
	return err ? 1 : 0;
}

/* What is to be expected of memory with each score of so many windows, in points. */
static int forecast(char **argv)
{
	struct bede_ranges scores = { 0 };
	struct bede_forecast made;

	if (read_scores(argv[2], argv[3], &scores))
		return 2;
	make(&scores, argv[3], strtoull(argv[4], NULL, 10), &made);
	for (unsigned points = 0; points <= BEDE_HEAT_POINTS; points++) {
		struct bede_range one = { .heat = points * BEDE_HEAT_POINT,
					  .windows = (uint16_t)atoi(argv[5]) };

		printf("%.2f\n", (double)bede_forecast_of(&made, &one) / BEDE_HEAT_POINT);
	}
	free(scores.at);
	return 0;
}

static int drift(char **argv)
{
	struct bede_ranges scores = { 0 }, measured = { 0 };

	struct bede_forecast made;
	struct bede_comparison compared;

	if (read_scores(argv[2], argv[5], &scores) || read_ranges(argv[3], &measured))
		return 2;
	make(&scores, argv[5], bytes_of(&scores), &made);
	bede_forecast_compare(&made, &scores, &measured, &compared);
	struct bede_drift found = bede_forecast_drift(&made, &compared, (unsigned)atoi(argv[4]));

	printf("%.5f %.5f\n", found.more, found.error);
	free(scores.at);
	free(measured.at);
	return 0;
}

static int clip(char **argv)
{
	struct bede_ranges ranges = { 0 }, to = { 0 };

	if (read_ranges(argv[2], &ranges) || read_ranges(argv[3], &to))
		return 2;
	bede_order_by_place(&ranges);
	bede_order_by_place(&to);
	int err = bede_ranges_clip(&ranges, &to);

	show_ranges(&ranges);
	free(ranges.at);
	free(to.at);
	return err ? 1 : 0;
}

static int window(char **argv)
{
	struct bede_ranges measured = { 0 };

	if (read_ranges(argv[2], &measured))
		return 2;
	printf("%" PRIu64 "\n", bede_scores_window(bede_scores_use(&measured) / BEDE_HEAT_ALWAYS,
						   strtoull(argv[3], NULL, 10), strtoull(argv[4], NULL, 10)));
	free(measured.at);
	return 0;
}

static int show(void *context, const uint64_t *values)
{
	const struct bede_trace_format *format = context;

	for (size_t i = 0; i < format->count; i++)
		printf("%s%" PRIu64, i ? " " : "", values[i]);
	printf("\n");
	return 0;
}

static int trace(int argc, char **argv)
{
	BEDE_BUFFER text = { 0 }, page = { 0 };
	struct bede_trace_format format;

	if (read_file(argv[2], &text) || read_file(argv[3], &page))
		return 2;
	int err =
		bede_trace_parse_format(text.text, (const char *const *)argv + 4, (size_t)argc - 4, &format);

	if (err)
		return 3;
	/* Copy the page to a buffer of exactly its length, so that the sanitizer sees a read beyond it. */
	unsigned char *copy = malloc(page.length ? page.length : 1);

	memcpy(copy, page.text, page.length);
	err = bede_trace_parse_page(copy, page.length, &format, show, &format);
	free(copy);
	return err ? 1 : 0;
}

static int function(char **argv)
{
	struct bede_btf btf;
	int err = bede_btf_open(&btf, argv[2]);

	if (!err)
		printf("%u\n", bede_btf_function(&btf, argv[3]));
	bede_btf_close(&btf);
	return err ? 1 : 0;
}

#define CHECK(what)                                                        \
	do {                                                               \
		if (!(what)) {                                             \
			fprintf(stderr, "line %d: %s\n", __LINE__, #what); \
			return 1;                                          \
		}                                                          \
	} while (0)

static int recent(void)
{
	struct bede_recent recent = { 0 };

	CHECK(!bede_recent_has(&recent, bede_recent_key(7, 0x1000), 5));
	for (uint64_t page = 1; page <= 1000; page++)
		bede_recent_note(&recent, bede_recent_key(7, page << 12), 1000000);
	unsigned known = 0;

	for (uint64_t page = 1; page <= 1000; page++)
		known += bede_recent_has(&recent, bede_recent_key(7, page << 12), 2000000);
	CHECK(known > 950); /* few share a place with a later one */
	CHECK(!bede_recent_has(&recent, bede_recent_key(8, 500 << 12), 2000000));
	CHECK(!bede_recent_has(&recent, bede_recent_key(-7, 500 << 12), 2000000));
	CHECK(!bede_recent_has(&recent, bede_recent_key(7, 2000 << 12), 2000000));
	CHECK(!bede_recent_has(&recent, bede_recent_key(7, 500 << 12), 1000000 + BEDE_RECENT_US));
	bede_recent_free(&recent);
	return 0;
}

static int crowd(void)
{
	unsigned cpus = (unsigned)sysconf(_SC_NPROCESSORS_ONLN);
	const uint64_t pause = 1000000000, off = 1000000; /* the clock goes on meanwhile */
	uint64_t wait = 0;

	CHECK(bede_heat_reserve(pause) == pause);
	for (unsigned movers = 1; movers < 3 * cpus; movers++)
		wait = bede_heat_reserve(pause);
	CHECK(wait > 3 * pause - off && wait <= 3 * pause);
	return 0;
}

/* A holder whose limit is at room bytes: it grants what fits, and must never see more promoted than it granted. */
struct holder {
	struct bede_ticket ticket;
	_Atomic uint64_t room, spare;
	_Atomic bool stop, stands;
	_Atomic uint64_t turns;
};

static void *hold(void *argument)
{
	struct holder *holder = argument;

	while (!holder->stop) {
		bool asked;
		uint64_t room = holder->room;
		uint64_t reserved = bede_ticket_reserved(&holder->ticket, room, holder->spare, &asked);

		if (reserved > room)
			abort();
		if (asked)
			bede_ticket_grant(&holder->ticket, holder->stands);
		holder->turns++;
		usleep(100);
	}
	return NULL;
}

static int ticket(void)
{
	struct holder holder = { .room = 1000, .spare = 300, .stands = true };
	pthread_t thread;

	bede_ticket_open(&holder.ticket, eventfd(0, EFD_CLOEXEC));
	pthread_create(&thread, NULL, hold, &holder);
	/* What is demoted for it may be promoted, besides what is spare; never more than the room. */
	CHECK(bede_ticket_take(&holder.ticket, 500, 500) == 500);
	uint64_t turns = holder.turns;

	bede_ticket_give_back(&holder.ticket);
	CHECK(bede_ticket_take(&holder.ticket, 500, 0) == 300);
	CHECK(holder.turns >= turns + 2); /* the fence rises only after a measurement that began afterwards */
	bede_ticket_give_back(&holder.ticket);
	CHECK(bede_ticket_take(&holder.ticket, 5000, 4000) == 1000);
	bede_ticket_give_back(&holder.ticket);
	/* No room, or no fence: nothing is granted. */
	holder.room = 0;
	CHECK(bede_ticket_take(&holder.ticket, 500, 500) == 0);
	holder.room = 1000;
	holder.stands = false;
	CHECK(bede_ticket_take(&holder.ticket, 500, 500) == 0);
	holder.stands = true;
	CHECK(bede_ticket_take(&holder.ticket, 500, 500) == 500);
	bede_ticket_give_back(&holder.ticket);
	bede_ticket_close(&holder.ticket);
	CHECK(bede_ticket_take(&holder.ticket, 500, 500) == 0);
	holder.stop = true;
	pthread_join(thread, NULL);
	close(holder.ticket.wake);
	return 0;
}

/* Visits the CPUs of a process so many times. Prints how many these are, and whether this thread may run where it might before. */
static int visit(char **argv)
{
	struct bede_process process = { .pid = atoi(argv[2]) };
	struct bede_visit visit;
	atomic_int wanted = 1;
	cpu_set_t before, after;

	sched_getaffinity(0, sizeof(before), &before);
	bede_visit_open(&visit, *argv[4] == '1', &process, 1);
	for (int times = atoi(argv[3]); times; times--) {
		bede_visit_all(&visit, &wanted);
		usleep(1000);
	}
	sched_getaffinity(0, sizeof(after), &after);
	printf("%d %d\n", CPU_COUNT(&visit.all), CPU_EQUAL(&before, &after));
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 6 && !strcmp(argv[1], "forecast"))
		return forecast(argv);
	if (argc == 6 && !strcmp(argv[1], "drift"))
		return drift(argv);
	if (argc == 4 && !strcmp(argv[1], "merge"))
		return merge(argv);
	if (argc == 4 && !strcmp(argv[1], "clip"))
		return clip(argv);
	if (argc == 6 && !strcmp(argv[1], "learn"))
		return learn(argv);
	if (argc == 5 && !strcmp(argv[1], "window"))
		return window(argv);
	if (argc > 4 && !strcmp(argv[1], "trace"))
		return trace(argc, argv);
	if (argc == 4 && !strcmp(argv[1], "function"))
		return function(argv);
	if (argc == 5 && !strcmp(argv[1], "visit"))
		return visit(argv);
	if (argc == 2 && !strcmp(argv[1], "recent"))
		return recent();
	if (argc == 2 && !strcmp(argv[1], "crowd"))
		return crowd();
	return argc == 2 && !strcmp(argv[1], "ticket") ? ticket() : 2;
}
