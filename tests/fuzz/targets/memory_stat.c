/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memory.stat: the result is a sum over lines, so a text that is repeated must give twice as much, or fail.
 */
#include <errno.h>
#include <string.h>

#include "fuzz.h"
#include "kfile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t bytes, doubled;
	int err = bede_parse_kernel((const char *)data, size, &bytes);
	char *twice = malloc(2 * size + 1);

	MUST(!err || err == -EINVAL, "%d", err);
	MUST(twice, "no memory");
	memcpy(twice, data, size);
	twice[size] = '\n';
	memcpy(twice + size + 1, data, size);
	int err_twice = bede_parse_kernel(twice, 2 * size + 1, &doubled);

	MUST(!err || err_twice == err, "%d", err_twice);
	if (!err && bytes <= UINT64_MAX / 2)
		MUST(!err_twice && doubled == 2 * bytes, "%d", err_twice);
	free(twice);
	return 0;
}
