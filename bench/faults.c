/* SPDX-License-Identifier: Apache-2.0 */
/* Instructions (or ns) for each page fault: touches and unmaps anonymous memory, and prints a line each round.
 *
 *	faults MB ROUNDS
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

int main(int argc, char **argv)
{
	size_t size = (size_t)atoi(argv[1]) << 20;
	int rounds = atoi(argv[2]);

	for (int i = -1; i < rounds; i++) {
		double start = now(), touched;
		char *mem = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (mem == MAP_FAILED || madvise(mem, size, MADV_NOHUGEPAGE))
			return 1;
		for (size_t at = 0; at < size; at += 4096)
			mem[at] = 1;
		touched = now();
		munmap(mem, size);
		if (i >= 0)
			printf("%.1f %.1f\n", (touched - start) / (size >> 12),
			       (now() - start) / (size >> 12));
	}
	return 0;
}
