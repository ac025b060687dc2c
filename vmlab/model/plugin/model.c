/* SPDX-License-Identifier: Apache-2.0 */
#include "model.h"

#include <string.h>
#include <unistd.h>

PLUGIN_EXPORT int qemu_plugin_version = 4;
struct model model;

static unsigned node_of(uint64_t physical, bool *found)
{
	for (unsigned i = 0; i < model.n_ranges; i++) {
		const struct model_range *range = &model.ranges[i];

		if (physical >= range->start && physical < range->end) {
			*found = true;
			return range->node;
		}
	}
	*found = false;
	return 0;
}

static uint64_t loaded_value(qemu_plugin_meminfo_t info)
{
	if (qemu_plugin_mem_is_store(info))
		return 0;
	qemu_plugin_mem_value value = qemu_plugin_mem_get_value(info);

	return value.type == 3 ? value.data.u64 : value.type == 2 ? value.data.u32 : 0;
}

static void catch_up(unsigned index)
{
	model_run(&model.params, &model.cpus[index].timing, model.cpus[index].instructions);
}

/*
 * Where one thread runs all CPUs, QEMU 10.0 passes the CPU that a block was translated on, not the one that runs it
 * (accel/tcg/plugin-gen.c takes the index for a constant unless CF_PARALLEL is set, and counting instructions
 * excludes that). So callbacks do not heed the index that they get. Inline operations are wrong for the same reason.
 */
static void on_block(unsigned wrong, void *count)
{
	static const struct CPUState *running;

	(void)wrong;
	if (current_cpu != running) {
		running = current_cpu;
		model.current = (unsigned)gdb_get_cpu_index(current_cpu) - 1;
	}
	model.cpus[model.current].instructions += (uintptr_t)count;
}

void model_settle(unsigned index)
{
	struct model_vcpu *cpu = &model.cpus[index];

	catch_up(index);
	cpu->group->counts.time += cpu->timing.now - cpu->since_time;
	cpu->group->counts.instructions += cpu->timing.instructions - cpu->since_instructions;
	cpu->since_time = cpu->timing.now;
	cpu->since_instructions = cpu->timing.instructions;
}

/*
 * Counts a miss of the followed cgroup for its page. Returns the node whose cost it is charged: @node, or where the
 * plugin was given a placement, the node on which that has the page, wherever the page is.
 */
static unsigned follow(const struct model_vcpu *cpu, uint64_t address, unsigned node)
{
	uint64_t name = model_page_name(address >> 63 ? 0 : cpu->space, address);
	struct model_page *page = model_pages_get(&model.log, name);

	if (page)
		page->count++;
	if (!model.placement_file)
		return node;
	return model_pages_find(&model.placement, name) ? model.placement_node : model.other_node;
}

static void on_miss(unsigned index, qemu_plugin_meminfo_t info, uint64_t address, enum model_mode mode)
{
	struct qemu_plugin_hwaddr *hwaddr = qemu_plugin_get_hwaddr(info, address);
	struct model_vcpu *cpu = &model.cpus[index];
	struct model_counts *counts = &cpu->group->counts;

	if (!hwaddr || qemu_plugin_hwaddr_is_io(hwaddr))
		return;
	uint64_t physical = qemu_plugin_hwaddr_phys_addr(hwaddr);

	if (model_cache_touch(&cpu->cache, physical >> MODEL_LINE_SHIFT))
		return;
	counts->private_misses++;
	catch_up(index);
	if (model_cache_touch(&model.shared, physical >> MODEL_LINE_SHIFT)) {
		counts->shared_hits++;
		cpu->timing.now += model.params.shared_hit;
		model_hit(&model.params, &cpu->timing, address);
		return;
	}
	bool found;
	unsigned node = node_of(physical, &found);

	if (!found) /* a disk that is mapped: not memory of the machine that is modelled */
		return;
	if (model.followed && cpu->group->id == model.followed)
		node = follow(cpu, address, node);
	struct model_miss miss = { address, loaded_value(info) };

	counts->misses[mode][node]++;
	counts->streamed[node] += model_charge(&model.params, &model.links[cpu->node][node],
					       &model.devices[node], &cpu->timing, &miss);
}

static void on_access(unsigned wrong, qemu_plugin_meminfo_t info, uint64_t address, void *mode)
{
	uint64_t line = address >> MODEL_LINE_SHIFT;
	uint64_t *slot = &model.cpus[model.current].filter[line % MODEL_FILTER];

	(void)wrong;

	if (*slot == line)
		return;
	*slot = line;
	on_miss(model.current, info, address, (enum model_mode)(uintptr_t)mode);
}

static void translate(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
	size_t count = qemu_plugin_tb_n_insns(tb);
	(void)id;
	if (model.counts)
		qemu_plugin_register_vcpu_tb_exec_cb(tb, on_block, QEMU_PLUGIN_CB_NO_REGS, (void *)count);
	for (size_t i = 0; i < count; i++) {
		struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
		uint64_t address = qemu_plugin_insn_vaddr(insn);
		unsigned char bytes[7] = { 0 };
		uint32_t mark;

		qemu_plugin_insn_data(insn, bytes, sizeof(bytes));
		memcpy(&mark, bytes + 3, sizeof(mark));
		if (!memcmp(bytes, "\x0f\x1f\x80", 3) && (mark & 0xffff0000U) == BEDE_MARK_MAGIC)
			qemu_plugin_register_vcpu_insn_exec_cb(insn, model_on_mark, QEMU_PLUGIN_CB_R_REGS,
							       (void *)(uintptr_t)(mark & 0xffffU));
		if (!model.counts)
			continue;
		if (address == model.layout.switch_to)
			qemu_plugin_register_vcpu_insn_exec_cb(insn, model_on_switch, QEMU_PLUGIN_CB_R_REGS,
							       NULL);
		qemu_plugin_register_vcpu_mem_cb(
			insn, on_access, QEMU_PLUGIN_CB_NO_REGS, QEMU_PLUGIN_MEM_RW,
			(void *)(uintptr_t)(address >> 63 ? MODEL_KERNEL : MODEL_USER));
	}
}

/* A CPU that idled has not run, but time has passed for it, too. */
static void on_resume(qemu_plugin_id_t id, unsigned index)
{
	uint64_t latest = 0;

	(void)id;
	if (!model.counts)
		return;
	model_settle(index);
	for (unsigned i = 0; i < model.n_cpus; i++)
		if (model.cpus[i].timing.now > latest)
			latest = model.cpus[i].timing.now;
	model.cpus[index].timing.now = model.cpus[index].since_time = latest;
}

static void counting(qemu_plugin_id_t id)
{
	qemu_plugin_register_vcpu_tb_trans_cb(id, translate);
	qemu_plugin_register_vcpu_resume_cb(id, on_resume);
}

void model_begin(void)
{
	if (model.counts)
		return;
	model.counts = true;
	/* What is translated already has no callbacks. */
	qemu_plugin_reset(model.id, counting);
}

/* The number of CPUs is not known before: QEMU loads plugins before it has read its own command line. */
static void on_vcpu_init(qemu_plugin_id_t id, unsigned index)
{
	struct model_vcpu *cpu = &model.cpus[index];

	(void)id;
	if (index >= MODEL_CPUS || model_cache_open(&cpu->cache, model.private_bytes, model.private_ways)) {
		fputs("bede: the model has no room for so many CPUs\n", stderr);
		_exit(1);
	}
	cpu->group = &model.groups[0];
	if (index >= model.n_cpus)
		model.n_cpus = index + 1;
	model_find_registers();
}

PLUGIN_EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc, char **argv)
{
	if (!info->system_emulation || argc != 1 || strncmp(argv[0], "config=", 7))
		return -1;
	model.id = id;
	if (model_configure(argv[0] + 7))
		return -1;
	if (model_cache_open(&model.shared, model.shared_bytes, model.shared_ways))
		return -1;
	model.n_groups = 1;
	qemu_plugin_register_vcpu_init_cb(id, on_vcpu_init);
	qemu_plugin_register_vcpu_tb_trans_cb(id, translate);
	return 0;
}
