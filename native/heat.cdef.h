/* SPDX-License-Identifier: Apache-2.0 */
int bede_heat_prepare(void);
bool bede_heat_takes_perfmon(void);
