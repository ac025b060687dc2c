/* SPDX-License-Identifier: Apache-2.0 */
/* What the guest tells by marks, and what the model reads from the guest's kernel: who runs. */
#include "model.h"

#include <string.h>

static struct qemu_plugin_register *rax, *rsi;
static GByteArray *bytes;

void model_find_registers(void)
{
	GArray *registers = qemu_plugin_get_registers();
	const qemu_plugin_reg_descriptor *one = (const void *)registers->data;

	for (unsigned i = 0; i < registers->len; i++) {
		if (!strcmp(one[i].name, "rax"))
			rax = one[i].handle;
		else if (!strcmp(one[i].name, "rsi"))
			rsi = one[i].handle;
	}
	if (!bytes)
		bytes = g_byte_array_new();
}

static uint64_t read_register(struct qemu_plugin_register *handle)
{
	uint64_t value = 0;

	g_byte_array_set_size(bytes, 0);
	if (handle && qemu_plugin_read_register(handle, bytes) == sizeof(value))
		memcpy(&value, bytes->data, sizeof(value));
	return value;
}

static bool read_guest(uint64_t address, void *into, size_t size)
{
	if (!qemu_plugin_read_memory_vaddr(address, bytes, size))
		return false;
	memcpy(into, bytes->data, size);
	return true;
}

/* Reads a text that ends with a zero byte, page by page, since the one after it may not be there. */
static void read_text(uint64_t address, char *text, size_t size)
{
	size_t have = 0;

	while (have < size - 1) {
		size_t part = 4096 - (size_t)((address + have) & 4095);

		if (part > size - 1 - have)
			part = size - 1 - have;
		if (!read_guest(address + have, text + have, part))
			break;
		char *end = memchr(text + have, 0, part);

		if (end)
			return;
		have += part;
	}
	text[have] = 0;
}

static struct model_group *group_of(uint64_t id)
{
	for (unsigned i = 1; i < model.n_groups; i++)
		if (model.groups[i].id == id)
			return &model.groups[i];
	if (!id || model.n_groups == MODEL_GROUPS)
		return &model.groups[0];
	model.groups[model.n_groups].id = id;
	return &model.groups[model.n_groups++];
}

static uint64_t cgroup_of(uint64_t task)
{
	const uint64_t offsets[] = { model.layout.task_cgroups, model.layout.css_set_cgroup,
				     model.layout.cgroup_kn, model.layout.kn_id };
	uint64_t at = task;

	for (size_t i = 0; i < sizeof(offsets) / sizeof(*offsets); i++)
		if (!at || !read_guest(at + offsets[i], &at, sizeof(at)))
			return 0;
	return at;
}

/* The number of the address space of @task in the followed cgroup; 0 for a kernel thread. */
static unsigned space_of(uint64_t task)
{
	struct model_space seen = { 0 };
	unsigned same = 0;

	if (!read_guest(task + model.layout.task_mm, &seen.mm, sizeof(seen.mm)) || !seen.mm ||
	    !read_guest(task + model.layout.task_comm, seen.comm, sizeof(seen.comm)))
		return 0;
	for (unsigned i = 0; i < model.n_spaces; i++) {
		if (memcmp(model.spaces[i].comm, seen.comm, sizeof(seen.comm)))
			continue;
		if (model.spaces[i].mm == seen.mm)
			return bede_mark_space(seen.comm, same);
		same++;
	}
	if (model.n_spaces < MODEL_SPACES)
		model.spaces[model.n_spaces++] = seen;
	return bede_mark_space(seen.comm, same);
}

void model_on_switch(unsigned wrong, void *unused)
{
	struct model_vcpu *cpu = &model.cpus[model.current];
	uint64_t task = read_register(rsi);

	(void)wrong;
	(void)unused;
	model_settle(model.current);
	memset(cpu->filter, 0, sizeof(cpu->filter));
	cpu->group = group_of(cgroup_of(task));
	cpu->space = model.followed && cpu->group->id == model.followed ? space_of(task) : 0;
}

static void next_placement(void)
{
	if (model.placement_file && model_pages_read(&model.placement, model.placement_file) < 0)
		qemu_plugin_outs("bede: the placement cannot be read\n");
}

static void next_epoch(void)
{
	if (model.log_file && model_pages_write(&model.log, model.log_file))
		qemu_plugin_outs("bede: the log of misses cannot be written\n");
	next_placement();
}

static void begin(uint64_t layout)
{
	if (model.counts || !read_guest(layout, &model.layout, sizeof(model.layout)))
		return;
	if (!model.layout.kn_id)
		model.layout.switch_to = 0;
	model_begin();
}

void model_on_mark(unsigned wrong, void *op)
{
	static char text[BEDE_MARK_TEXT];
	uint64_t argument = read_register(rax);

	(void)wrong;
	if (model.counts)
		for (unsigned i = 0; i < model.n_cpus; i++)
			model_settle(i);
	switch ((enum bede_mark_op)(uintptr_t)op) {
	case BEDE_MARK_LAYOUT:
		begin(argument);
		break;
	case BEDE_MARK_REPORT:
		read_text(argument, text, sizeof(text));
		model_report(text);
		break;
	case BEDE_MARK_FOLLOW:
		model.followed = argument;
		model.n_spaces = 0;
		model_pages_clear(&model.log);
		next_placement();
		break;
	case BEDE_MARK_EPOCH:
		next_epoch();
		break;
	}
}
