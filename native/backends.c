/* SPDX-License-Identifier: Apache-2.0 */
#include "backend.h"

#include <stddef.h>
#include <string.h>

static const struct bede_backend_ops *const backends[] = {
	&bede_tier,
	&bede_migrate,
};

const struct bede_backend_ops *bede_backend_find(const char *name)
{
	for (size_t i = 0; name && i < sizeof(backends) / sizeof(*backends); i++)
		if (!strcmp(backends[i]->name, name))
			return backends[i];
	return NULL;
}
