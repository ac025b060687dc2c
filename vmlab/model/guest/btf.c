/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "btf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAGIC 0xeb9f
#define ENOUGH (64U << 20) /* bytes; Debian's kernels have some five million */
#define DEPTH 4		   /* of unnamed members in each other */

enum {
	INT = 1,
	ARRAY = 3,
	STRUCT = 4,
	UNION = 5,
	ENUM = 6,
	FUNC_PROTO = 13,
	VAR = 14,
	DATASEC = 15,
	DECL_TAG = 17,
	ENUM64 = 19
};

struct header {
	uint16_t magic;
	uint8_t version, flags;
	uint32_t size, types, types_size, strings, strings_size;
};
struct type {
	uint32_t name, info, size;
};
struct member {
	uint32_t name, type, offset;
};

static unsigned kind_of(const struct type *type)
{
	return type->info >> 24 & 31;
}

static size_t length_of(const struct type *type)
{
	size_t count = type->info & 0xffff, each = 0;

	switch (kind_of(type)) {
	case INT:
	case VAR:
	case DECL_TAG:
		return sizeof(*type) + 4;
	case ARRAY:
		return sizeof(*type) + 12;
	case STRUCT:
	case UNION:
	case DATASEC:
	case ENUM64:
		each = 12;
		break;
	case ENUM:
	case FUNC_PROTO:
		each = 8;
		break;
	}
	return sizeof(*type) + count * each;
}

int btf_open(struct btf *btf, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct header *header;
	ssize_t got;

	memset(btf, 0, sizeof(*btf));
	if (fd < 0)
		return -errno;
	btf->data = malloc(ENOUGH);
	while (btf->data && btf->size < ENOUGH &&
	       (got = read(fd, btf->data + btf->size, ENOUGH - btf->size)) > 0)
		btf->size += (size_t)got;
	close(fd);
	if (!btf->data)
		return -ENOMEM;
	header = (struct header *)btf->data;
	if (btf->size < sizeof(*header) || header->magic != MAGIC ||
	    btf->size < (uint64_t)header->size + header->strings + header->strings_size ||
	    btf->size < (uint64_t)header->size + header->types + header->types_size || !header->strings_size)
		return -EINVAL;
	btf->types = btf->data + header->size + header->types;
	btf->types_end = btf->types + header->types_size;
	btf->strings = btf->data + header->size + header->strings;
	btf->strings_size = header->strings_size;
	return btf->strings[btf->strings_size - 1] ? -EINVAL : 0;
}

void btf_close(struct btf *btf)
{
	free(btf->data);
	memset(btf, 0, sizeof(*btf));
}

static const char *string(const struct btf *btf, uint32_t at)
{
	return at < btf->strings_size ? btf->strings + at : "";
}

/* The type after @type, or the first one for NULL; NULL after the last one. */
static const struct type *next(const struct btf *btf, const struct type *type)
{
	const char *at = type ? (const char *)type + length_of(type) : btf->types;

	type = (const struct type *)at;
	if (at + sizeof(*type) > btf->types_end || at + length_of(type) > btf->types_end)
		return NULL;
	return type;
}

static const struct type *numbered(const struct btf *btf, uint32_t number)
{
	const struct type *type = NULL;

	do
		type = next(btf, type);
	while (type && --number);
	return type;
}

static int find(const struct btf *btf, const struct type *type, const char *wanted, int depth,
		uint64_t *offset)
{
	const struct member *member = (const struct member *)(type + 1);
	bool bitfields = type->info >> 31;

	for (unsigned i = 0; i < (type->info & 0xffff); i++, member++) {
		uint64_t at = (bitfields ? member->offset & 0xffffff : member->offset) / 8;
		const char *name = string(btf, member->name);

		if (!strcmp(name, wanted)) {
			*offset = at;
			return 0;
		}
		if (*name || !depth)
			continue;
		const struct type *inner = numbered(btf, member->type);

		if (inner && (kind_of(inner) == STRUCT || kind_of(inner) == UNION) &&
		    !find(btf, inner, wanted, depth - 1, offset)) {
			*offset += at;
			return 0;
		}
	}
	return -ENOENT;
}

int btf_offset(const struct btf *btf, const char *structure, const char *member, uint64_t *offset)
{
	for (const struct type *type = next(btf, NULL); type; type = next(btf, type))
		if (kind_of(type) == STRUCT && !strcmp(string(btf, type->name), structure))
			return find(btf, type, member, DEPTH, offset);
	return -ENOENT;
}
