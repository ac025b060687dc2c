/* SPDX-License-Identifier: Apache-2.0 */
/* What the targets share: an assertion that libFuzzer sees, and a file that holds the input. */
#ifndef BEDE_FUZZ_H
#define BEDE_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* Not assert(), which does not print values and may be compiled away. */
#define MUST(condition, ...)                                                                    \
	do {                                                                                    \
		if (!(condition)) {                                                             \
			fprintf(stderr, "%s:%d: not so: %s: ", __FILE__, __LINE__, #condition); \
			fprintf(stderr, __VA_ARGS__);                                           \
			fprintf(stderr, "\n");                                                  \
			abort();                                                                \
		}                                                                               \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The descriptor of a file in memory, the same one at each call, that holds just this text. */
int file_with(const void *text, size_t size);

#endif
