/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "btf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAGIC 0xeb9f
#define ENOUGH (64U << 20) /* bytes; Debian's kernels have some five million */

enum { INT = 1, ARRAY = 3, ENUM = 6, FUNC_PROTO = 13, VAR = 14, DATASEC = 15, DECL_TAG = 17, ENUM64 = 19 };

struct header {
	uint16_t magic;
	uint8_t version, flags;
	uint32_t size, types, types_size, strings, strings_size;
};

unsigned bede_btf_kind(const struct bede_btf_type *type)
{
	return type->info >> 24 & 31;
}

static size_t length_of(const struct bede_btf_type *type)
{
	size_t count = type->info & 0xffff, each = 0;

	switch (bede_btf_kind(type)) {
	case INT:
	case VAR:
	case DECL_TAG:
		return sizeof(*type) + 4;
	case ARRAY:
		return sizeof(*type) + 12;
	case BEDE_BTF_STRUCT:
	case BEDE_BTF_UNION:
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

int bede_btf_open(struct bede_btf *btf, const char *path)
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

void bede_btf_close(struct bede_btf *btf)
{
	free(btf->data);
	memset(btf, 0, sizeof(*btf));
}

const char *bede_btf_name(const struct bede_btf *btf, uint32_t at)
{
	return at < btf->strings_size ? btf->strings + at : "";
}

const struct bede_btf_type *bede_btf_next(const struct bede_btf *btf, const struct bede_btf_type *type)
{
	const char *at = type ? (const char *)type + length_of(type) : btf->types;

	type = (const struct bede_btf_type *)at;
	if (at + sizeof(*type) > btf->types_end || at + length_of(type) > btf->types_end)
		return NULL;
	return type;
}

uint32_t bede_btf_function(const struct bede_btf *btf, const char *name)
{
	uint32_t number = 1;

	for (const struct bede_btf_type *type = bede_btf_next(btf, NULL); type; number++) {
		if (bede_btf_kind(type) == BEDE_BTF_FUNC && !strcmp(bede_btf_name(btf, type->name), name))
			return number;
		type = bede_btf_next(btf, type);
	}
	return 0;
}
