/* SPDX-License-Identifier: Apache-2.0 */
/* Reads the kernel's type information (Documentation/bpf/btf.rst). vmlab/model/guest uses it as well. */
#ifndef BEDE_BTF_H
#define BEDE_BTF_H

#include <stddef.h>
#include <stdint.h>

#define BEDE_BTF_PATH "/sys/kernel/btf/vmlinux"

enum bede_btf_kind { BEDE_BTF_STRUCT = 4, BEDE_BTF_UNION = 5, BEDE_BTF_FUNC = 12 };

struct bede_btf {
	char *data;
	size_t size;
	const char *types, *types_end, *strings;
	size_t strings_size;
};

struct bede_btf_type {
	uint32_t name, info, size;
};

/* Read a file. Returns 0 or a negative errno; bede_btf_close may follow in either case. */
int bede_btf_open(struct bede_btf *btf, const char *path);

void bede_btf_close(struct bede_btf *btf);

/* The type after this one, or the first one for NULL. NULL after the last one. The first one has the number 1. */
const struct bede_btf_type *bede_btf_next(const struct bede_btf *btf, const struct bede_btf_type *type);

unsigned bede_btf_kind(const struct bede_btf_type *type);

/* The name at this offset, which a type or a member has; "" if there is none. */
const char *bede_btf_name(const struct bede_btf *btf, uint32_t at);

/* The number of the function with that name; 0 if the kernel has none. */
uint32_t bede_btf_function(const struct bede_btf *btf, const char *name);

#endif
