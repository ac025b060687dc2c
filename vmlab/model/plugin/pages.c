/* SPDX-License-Identifier: Apache-2.0 */
#include "pages.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_SIZE 4096U
#define GOLDEN 0x9e3779b97f4a7c15ULL

static struct model_page *slot(const struct model_pages *pages, uint64_t name)
{
	/* Not the product's low bits: these depend on the low bits of the name alone. */
	uint64_t at = (name * GOLDEN >> 20) & (pages->size - 1);

	while (pages->slots[at].name && pages->slots[at].name != name)
		at = (at + 1) & (pages->size - 1);
	return &pages->slots[at];
}

static int grow(struct model_pages *pages)
{
	struct model_pages larger = { .size = pages->size ? pages->size * 2 : FIRST_SIZE,
				      .used = pages->used };

	larger.slots = calloc(larger.size, sizeof(*larger.slots));
	if (!larger.slots)
		return -ENOMEM;
	for (uint64_t i = 0; i < pages->size; i++)
		if (pages->slots[i].name)
			*slot(&larger, pages->slots[i].name) = pages->slots[i];
	free(pages->slots);
	*pages = larger;
	return 0;
}

struct model_page *model_pages_get(struct model_pages *pages, uint64_t name)
{
	if (pages->used * 2 >= pages->size && grow(pages))
		return NULL;
	struct model_page *page = slot(pages, name);

	if (!page->name) {
		page->name = name;
		pages->used++;
	}
	return page;
}

struct model_page *model_pages_find(const struct model_pages *pages, uint64_t name)
{
	struct model_page *page = pages->size ? slot(pages, name) : NULL;

	return page && page->name ? page : NULL;
}

void model_pages_clear(struct model_pages *pages)
{
	if (pages->slots)
		memset(pages->slots, 0, pages->size * sizeof(*pages->slots));
	pages->used = 0;
}

int model_pages_write(struct model_pages *pages, FILE *file)
{
	bool good = fwrite(&pages->used, sizeof(pages->used), 1, file) == 1;

	for (uint64_t i = 0; good && i < pages->size; i++)
		if (pages->slots[i].name)
			good = fwrite(&pages->slots[i], sizeof(*pages->slots), 1, file) == 1;
	good = fflush(file) == 0 && good;
	model_pages_clear(pages);
	return good ? 0 : -EIO;
}

int model_pages_read(struct model_pages *pages, FILE *file)
{
	struct model_page page;
	uint64_t count;

	if (fread(&count, sizeof(count), 1, file) != 1)
		return feof(file) ? 0 : -EIO;
	model_pages_clear(pages);
	while (count--) {
		if (fread(&page, sizeof(page), 1, file) != 1 || !page.name)
			return -EIO;
		struct model_page *kept = model_pages_get(pages, page.name);

		if (!kept)
			return -EIO;
		kept->count = page.count;
	}
	return 1;
}
