/* SPDX-License-Identifier: Apache-2.0 */
/* A placement that was computed from a log of misses, made true by moving a process's pages. */
#pragma once

/*
 * Moves the pages of process @pid that are in the first epoch of the file @path to node @local, after all its others
 * have gone to node @far. The process has to be the first of its name that the model saw in the followed cgroup.
 * Returns 0 or a negative errno. Pages that cannot be moved stay where they are.
 */
int placement_apply(const char *path, int pid, int local, int far);
