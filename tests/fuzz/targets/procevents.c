/* SPDX-License-Identifier: Apache-2.0 */
/* A datagram of the process connector: an event that is reported must be a complete one. */
#include <string.h>

#include "fuzz.h"
#include "procevents.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bede_procevent event = { .exec = -1 };

	if (!bede_procevent_parse((const char *)data, size, &event))
		return 0;
	MUST(size >= 60, "%zu bytes are no event", size);
	MUST(event.exec == 0 || event.exec == 1, "%d", event.exec);
	MUST(!event.exec || !event.parent, "%u", event.parent);
	return 0;
}
