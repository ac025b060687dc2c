/* SPDX-License-Identifier: Apache-2.0 */
/* Offsets of members in the kernel's structures, from its type information (Documentation/bpf/btf.rst). */
#pragma once
#include <stddef.h>
#include <stdint.h>

struct btf {
	char *data;
	size_t size;
	const char *types, *types_end, *strings;
	size_t strings_size;
};

/* Reads @path. Returns 0 or a negative errno; `btf_close` may be called in either case. */
int btf_open(struct btf *btf, const char *path);

void btf_close(struct btf *btf);

/* The offset in bytes of @member in @structure, also if it is a member of an unnamed member. 0 or -ENOENT. */
int btf_offset(const struct btf *btf, const char *structure, const char *member, uint64_t *offset);
