/* SPDX-License-Identifier: Apache-2.0 */
/*
 * find MIB: looks up every key of the tree that the load `tree` of algorithms.c makes in so much memory. It prints how many
 * keys there are, and how many pages of the memory are nodes; it ends with 1 if a key's value is not beside the key.
 */
#include <stdio.h>
#include <sys/mman.h>

#define main patterns_main
#include "patterns.c"
#undef main
#include "algorithms.c"

int main(int argc, char **argv)
{
	size_t size = argc > 1 ? strtoul(argv[1], NULL, 10) << 20 : 0, nodes = 0;
	char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		return 1;
	struct tree tree = tree_in(memory, size);

	for (uint64_t key = 0; key < tree.keys; key++) {
		uint64_t *value = value_of(&tree, key);
		struct node *leaf = &tree.nodes[((char *)value - memory) / PAGE];

		if (leaf->keys[value - leaf->below] != key)
			return 1;
	}
	for (size_t i = 0; i < size / PAGE; i++)
		nodes += tree.nodes[i].count > 0;
	printf("%zu %zu\n", tree.keys, nodes);
	return 0;
}
