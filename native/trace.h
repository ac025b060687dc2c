/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads one tracepoint's records in binary, from an instance of tracefs of its own.
 *
 * Nothing else hands over tens of thousands of records in milliseconds without a capability: perf_event_open(2)
 * takes CAP_PERFMON, and text takes the kernel as long as what is to be measured. Sources:
 * Documentation/trace/ftrace.rst (instances, per_cpu/cpuN/trace_pipe_raw), include/linux/ring_buffer.h.
 */
#ifndef BEDE_TRACE_H
#define BEDE_TRACE_H

#include <stdbool.h>

#include "kfile.h"

#define BEDE_TRACE_FIELDS 6

/* Where in a record the fields are that were asked for. */
struct bede_trace_format {
	unsigned id; /* the event's number, which each record begins with */
	size_t count;
	struct {
		unsigned offset, size; /* bytes; the size is 4 or 8 */
	} field[BEDE_TRACE_FIELDS];
};

/* One record: the values of these fields, in the order in which they were asked for. */
typedef int bede_trace_visit(void *context, const uint64_t *values);

struct bede_trace {
	int instance; /* the instance's directory, or -1 */
	int pipe;     /* trace_pipe_raw of the CPU that is listened to, or -1 */
	int cpu;
	struct bede_trace_format format;
};

/*
 * The text of an event's file "format" -> the places of count fields, by their names. Returns 0, or -EINVAL if one of
 * them is missing or has another size.
 */
int bede_trace_parse_format(const char *text, const char *const *names, size_t count,
			    struct bede_trace_format *out);

/*
 * One page of trace_pipe_raw -> a call of visit for each record of the format's event. If visit returns non-zero, the
 * walk ends with that value. Returns 0, or -EINVAL if the page is malformed.
 */
int bede_trace_parse_page(const unsigned char *page, size_t size, const struct bede_trace_format *format,
			  bede_trace_visit *visit, void *context);

/*
 * Make the instance, or take over one that a killed agent has left, and enable only this event ("damon/…") in it.
 * Returns 0 or a negative errno.
 */
int bede_trace_open(struct bede_trace *trace, const char *instance, const char *event,
		    const char *const *names, size_t count);

/* Have room for so many bytes of records of one CPU, and begin to read that CPU's. Returns 0 or a negative errno. */
int bede_trace_listen(struct bede_trace *trace, int cpu, size_t bytes);

/* Read what has been recorded. Returns the number of records, or a negative errno: also one that visit returned. */
int bede_trace_read(struct bede_trace *trace, bede_trace_visit *visit, void *context);

/* Stop reading, and give the memory of the records back. */
void bede_trace_hush(struct bede_trace *trace);

/* Disable the event and remove the instance. */
void bede_trace_close(struct bede_trace *trace, const char *instance);

#endif
