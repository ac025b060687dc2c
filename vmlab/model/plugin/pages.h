/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Misses counted by page: the log from which the best placement is computed, and such a placement replayed.
 *
 * A page is named by its address space's number (0 for the kernel's, else bede_mark_space in mark.h) and its virtual
 * page number, so that it keeps its name when it is moved, and has the same in the next run.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct model_page {
	uint64_t name; /* 0: the slot is free */
	uint64_t count;
};

struct model_pages {
	struct model_page *slots;
	uint64_t size, used; /* size: a power of two */
};

/* Position of the address space in a page's name; below it are 36 bits of a page number, above it the bit 63. */
#define MODEL_SPACE_SHIFT 44

static inline uint64_t model_page_name(unsigned space, uint64_t address)
{
	return ((uint64_t)space << MODEL_SPACE_SHIFT) | (address << 16 >> 28) | 1ULL << 63;
}

/* The page's entry, made if it is missing. NULL if there is no memory for it. */
struct model_page *model_pages_get(struct model_pages *pages, uint64_t name);

/* The page's entry, or NULL. */
struct model_page *model_pages_find(const struct model_pages *pages, uint64_t name);

/*
 * Appends one epoch to @file and forgets it: uint64 number of pages, then for each a uint64 name and a uint64 count.
 * Returns 0 or -EIO.
 */
int model_pages_write(struct model_pages *pages, FILE *file);

/* Reads the next epoch of a placement from @file, in the same format. Returns 1, 0 at the end of the file, or -EIO. */
int model_pages_read(struct model_pages *pages, FILE *file);

void model_pages_clear(struct model_pages *pages);
