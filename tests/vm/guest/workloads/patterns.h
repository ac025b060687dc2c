/* SPDX-License-Identifier: Apache-2.0 */
/* What patterns.c, algorithms.c and the programs of bench/ share: random numbers, work, marks, and the kinds of load that are algorithms. */
#pragma once
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "mark.h"

#define LINE 64U
#define PAGE 4096U

extern uint64_t random_state;

static inline uint64_t next_random(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	return random_state ^= random_state << 17;
}

/* A random number from 0 up to, and without, 1. */
static inline double next_fraction(void)
{
	return (double)(next_random() >> 11) * 0x1p-53;
}

#define ZIPF_POWER 0.01 /* 1 less the distribution's exponent */

/* What zipf_key has to be told of so many keys. */
static inline double zipf_most(uint64_t keys)
{
	return pow((double)keys, ZIPF_POWER) - 1;
}

/* One of so many keys, by a Zipf distribution of exponent 0.99. Neighbours in it are no neighbours as keys, as in YCSB. */
static inline uint64_t zipf_key(uint64_t keys, double most)
{
	/* From the inverse of the integral over rank^-0.99. */
	uint64_t rank = (uint64_t)pow(1 + next_fraction() * most, 1 / ZIPF_POWER);
	uint64_t mixed = rank * 0x9e3779b97f4a7c15ULL;

	return (mixed ^ mixed >> 32) % keys;
}

/* Computes what WORK says. */
void compute(void);

/* A permutation of 0 .. n-1: with *apart* 1 it is one cycle (Sattolo), with 0 any. The caller frees it. */
uint32_t *shuffled(size_t n, size_t apart);

/* Tells the model that a round of this kind has ended. */
static inline void mark(const char *kind, int round)
{
	char label[64];

	snprintf(label, sizeof(label), "%s %d", kind, round);
	BEDE_MARK(BEDE_MARK_REPORT, label);
}

/* The same, and ends an epoch of the log of misses. */
static inline void mark_epoch(const char *kind, int round)
{
	BEDE_MARK(BEDE_MARK_EPOCH, 0);
	mark(kind, round);
}

/* Each runs so many rounds in the memory, and returns what depends on all that it read. */
uint64_t rank(char *memory, size_t size, int rounds);
uint64_t bfs(char *memory, size_t size, int rounds);
uint64_t kmeans(char *memory, size_t size, int rounds, size_t draws);
uint64_t tree(char *memory, size_t size, int rounds, size_t lookups);
