/* SPDX-License-Identifier: Apache-2.0 */
/* Arrays that grow as elements are added. */
#ifndef BEDE_GROW_H
#define BEDE_GROW_H

#include <stddef.h>
#include <stdlib.h>

/*
 * Make room for one more element, of each bytes, in the array at, that has room for *size of them and holds count: first at
 * least, then twice as many as before. Returns the array, which may have moved, or NULL without memory: then it is as it was.
 */
static inline void *bede_grown(void *at, size_t count, size_t *size, size_t first, size_t each)
{
	if (count < *size)
		return at;
	size_t more = *size ? *size * 2 : first;
	void *moved = reallocarray(at, more, each);

	if (moved)
		*size = more;
	return moved;
}

#endif
