/* SPDX-License-Identifier: Apache-2.0 */
/* A datagram of the process connector: what is told of is a whole event of another process than none. */
#include <string.h>

#include "births.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bede_birth birth = { .exec = -1 };

	if (!bede_birth_parse((const char *)data, size, &birth))
		return 0;
	MUST(size >= 60, "%zu bytes are no event", size);
	MUST(birth.exec == 0 || birth.exec == 1, "%d", birth.exec);
	MUST(!birth.exec || !birth.parent, "%u", birth.parent);
	return 0;
}
