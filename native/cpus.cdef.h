/* SPDX-License-Identifier: Apache-2.0 */
unsigned bede_cpus(int dir);
unsigned bede_cpus_listed(const char *text);
unsigned bede_cpus_by_quota(const char *text);
