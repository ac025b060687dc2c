/* SPDX-License-Identifier: Apache-2.0 */
/* Offsets of members in the kernel's structures, from its type information. */
#pragma once
#include "btf.h"

/* The offset in bytes of @member in @structure, also if it is a member of an unnamed member. 0 or -ENOENT. */
int offset_of(const struct bede_btf *btf, const char *structure, const char *member, uint64_t *offset);
