/* SPDX-License-Identifier: Apache-2.0 */
int bede_policy_set(uint64_t mask);
int bede_policy_inject(int tid, uint64_t mask);
