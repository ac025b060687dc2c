/* SPDX-License-Identifier: Apache-2.0 */
#include "offsets.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#define DEPTH 4 /* of unnamed members in each other */

struct member {
	uint32_t name, type, offset;
};

static const struct bede_btf_type *numbered(const struct bede_btf *btf, uint32_t number)
{
	const struct bede_btf_type *type = NULL;

	do
		type = bede_btf_next(btf, type);
	while (type && --number);
	return type;
}

static bool has_members(const struct bede_btf_type *type)
{
	return bede_btf_kind(type) == BEDE_BTF_STRUCT || bede_btf_kind(type) == BEDE_BTF_UNION;
}

static int find(const struct bede_btf *btf, const struct bede_btf_type *type, const char *wanted, int depth,
		uint64_t *offset)
{
	const struct member *member = (const struct member *)(type + 1);
	bool bitfields = type->info >> 31;

	for (unsigned i = 0; i < (type->info & 0xffff); i++, member++) {
		uint64_t at = (bitfields ? member->offset & 0xffffff : member->offset) / 8;
		const char *name = bede_btf_name(btf, member->name);

		if (!strcmp(name, wanted)) {
			*offset = at;
			return 0;
		}
		if (*name || !depth)
			continue;
		const struct bede_btf_type *inner = numbered(btf, member->type);

		if (inner && has_members(inner) && !find(btf, inner, wanted, depth - 1, offset)) {
			*offset += at;
			return 0;
		}
	}
	return -ENOENT;
}

int offset_of(const struct bede_btf *btf, const char *structure, const char *member, uint64_t *offset)
{
	for (const struct bede_btf_type *type = bede_btf_next(btf, NULL); type;
	     type = bede_btf_next(btf, type))
		if (bede_btf_kind(type) == BEDE_BTF_STRUCT &&
		    !strcmp(bede_btf_name(btf, type->name), structure))
			return find(btf, type, member, DEPTH, offset);
	return -ENOENT;
}
