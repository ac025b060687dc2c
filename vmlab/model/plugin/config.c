/* SPDX-License-Identifier: Apache-2.0 */
/* The model's configuration: lines of a word and numbers, as vmlab/model/plugin.py writes them. */
#include "model.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static bool line(const char *text)
{
	uint64_t a, b;
	unsigned x, y;
	char path[512];

	if (sscanf(text, "instruction %" SCNu64, &model.params.instruction) == 1)
		return true;
	if (sscanf(text, "window %u %u", &model.params.window, &model.params.overlap) == 2)
		return model.params.overlap > 0;
	if (sscanf(text, "ahead %u", &model.params.ahead) == 1)
		return true;
	if (sscanf(text, "private %" SCNu64 " %u", &model.private_bytes, &model.private_ways) == 2)
		return true;
	if (sscanf(text, "shared %" SCNu64 " %u %" SCNu64, &model.shared_bytes, &model.shared_ways,
		   &model.params.shared_hit) == 3)
		return true;
	if (sscanf(text, "link %u %u %" SCNu64 " %" SCNu64, &x, &y, &a, &b) == 4) {
		if (x >= MODEL_NODES || y >= MODEL_NODES)
			return false;
		model.links[x][y] = (struct model_link){ .latency = a, .line_time = b };
		return true;
	}
	if (sscanf(text, "device %u %" SCNu64, &x, &a) == 2) {
		if (x >= MODEL_NODES)
			return false;
		model.devices[x].line_time = a;
		model.n_nodes = x >= model.n_nodes ? x + 1 : model.n_nodes;
		return true;
	}
	if (sscanf(text, "range %u %" SCNu64 " %" SCNu64, &x, &a, &b) == 3) {
		if (x >= MODEL_NODES || model.n_ranges == sizeof(model.ranges) / sizeof(*model.ranges))
			return false;
		model.ranges[model.n_ranges++] = (struct model_range){ .start = a, .end = b, .node = x };
		return true;
	}
	if (sscanf(text, "cpu %u %u", &x, &y) == 2) {
		if (x >= MODEL_CPUS || y >= MODEL_NODES)
			return false;
		model.cpus[x].node = y;
		return true;
	}
	if (sscanf(text, "report %511[^\n]", model.report) == 1)
		return true;
	if (sscanf(text, "log %511[^\n]", path) == 1)
		return (model.log_file = fopen(path, "wbe")) != NULL;
	if (sscanf(text, "placement %u %u %511[^\n]", &model.placement_node, &model.other_node, path) == 3)
		return (model.placement_file = fopen(path, "rbe")) != NULL;
	return false;
}

int model_configure(const char *path)
{
	FILE *file = fopen(path, "re");
	char text[1024];
	int result = file ? 0 : -1;

	model.params.overlap = 1;
	while (file && fgets(text, sizeof(text), file)) {
		if (!line(text)) {
			fprintf(stderr, "bede: the model's configuration has a bad line: %s", text);
			result = -1;
		}
	}
	if (file)
		fclose(file);
	else
		fprintf(stderr, "bede: the model's configuration cannot be read\n");
	return result;
}
