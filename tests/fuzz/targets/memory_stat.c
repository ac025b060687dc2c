/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memory.stat: the results are sums over lines, so a text that is repeated must give twice as much, or fail.
 */
#include <errno.h>
#include <string.h>

#include "fuzz.h"
#include "kfile.h"

typedef int parse(const char *text, size_t length, uint64_t *out);

static void check(parse *parse, const char *text, size_t size, const char *twice)
{
	uint64_t number, doubled;
	int err = parse(text, size, &number);
	int err_twice = parse(twice, 2 * size + 1, &doubled);

	MUST(!err || err == -EINVAL, "%d", err);
	MUST(!err || err_twice == err, "%d", err_twice);
	if (!err && number <= UINT64_MAX / 2)
		MUST(!err_twice && doubled == 2 * number, "%d", err_twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *twice = malloc(2 * size + 1);

	MUST(twice, "no memory");
	memcpy(twice, data, size);
	twice[size] = '\n';
	memcpy(twice + size + 1, data, size);
	check(bede_parse_kernel, (const char *)data, size, twice);
	check(bede_parse_demoted, (const char *)data, size, twice);
	free(twice);
	return 0;
}
