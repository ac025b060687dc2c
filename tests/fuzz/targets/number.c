/* SPDX-License-Identifier: Apache-2.0 */
/* Files with one number: it begins with digits or is "max", and stays the same if written and read again. */
#include <errno.h>
#include <string.h>

#include "fuzz.h"
#include "kfile.h"

static uint64_t read_back(uint64_t value)
{
	uint64_t again = 0;
	int fd = file_with("", 0);

	MUST(!bede_write_u64(fd, value), "not written");
	MUST(!bede_read_u64(fd, &again), "not read back");
	return again;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t value;
	int fd = file_with(data, size);
	BEDE_BUFFER whole = { 0 };

	MUST(!bede_read(fd, &whole) && whole.length == size && !whole.text[size], "not read");
	MUST(!size || !memcmp(whole.text, data, size), "not what is there");
	int err = bede_read_u64(fd, &value);

	MUST(!err || err == -EINVAL, "%d", err);
	if (err)
		return 0;
	MUST(value == UINT64_MAX || (data[0] >= '0' && data[0] <= '9'), "%llu", (unsigned long long)value);
	MUST(read_back(value) == value, "%llu", (unsigned long long)value);
	return 0;
}
