/* SPDX-License-Identifier: Apache-2.0 */
/* The model's counters as JSON, one line for each mark. */
#include "model.h"

#include <inttypes.h>
#include <stdio.h>

static void put_text(FILE *file, const char *text)
{
	fputc('"', file);
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (c == '"' || c == '\\')
			fprintf(file, "\\%c", c);
		else if (c < 0x20)
			fprintf(file, "\\u%04x", c);
		else
			fputc(c, file);
	}
	fputc('"', file);
}

static void put_numbers(FILE *file, const char *name, const uint64_t *numbers)
{
	fprintf(file, ",\"%s\":[", name);
	for (unsigned i = 0; i < model.n_nodes; i++)
		fprintf(file, "%s%" PRIu64, i ? "," : "", numbers[i]);
	fputc(']', file);
}

void model_report(const char *text)
{
	FILE *file = fopen(model.report, "ae");

	if (!file) {
		qemu_plugin_outs("bede: the model's report cannot be written\n");
		return;
	}
	fputs("{\"text\":", file);
	put_text(file, text);
	fputs(",\"clocks\":[", file);
	for (unsigned i = 0; i < model.n_cpus; i++)
		fprintf(file, "%s%" PRIu64, i ? "," : "", model.cpus[i].timing.now);
	fputs("],\"groups\":[", file);
	for (unsigned i = 0; i < model.n_groups; i++) {
		const struct model_counts *counts = &model.groups[i].counts;

		fprintf(file,
			"%s{\"id\":%" PRIu64 ",\"instructions\":%" PRIu64 ",\"time\":%" PRIu64
			",\"private_misses\":%" PRIu64 ",\"shared_hits\":%" PRIu64,
			i ? "," : "", model.groups[i].id, counts->instructions, counts->time,
			counts->private_misses, counts->shared_hits);
		put_numbers(file, "user", counts->misses[MODEL_USER]);
		put_numbers(file, "kernel", counts->misses[MODEL_KERNEL]);
		put_numbers(file, "streamed", counts->streamed);
		fputc('}', file);
	}
	fputs("]}\n", file);
	fclose(file);
}
