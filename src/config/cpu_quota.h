/*
 * How many CPUs this process may really use: the affinity mask and the CPU quota of its control
 * group, version 1 or 2, whichever is less. Thread counts follow this, not the host's cores.
 */
#ifndef CONFIG_CPU_QUOTA_H
#define CONFIG_CPU_QUOTA_H

/*
 * At least 1. A quota of part of a CPU is rounded up, and the smallest quota on the way from the
 * process's control group up to the root counts. Files that are missing or make no sense set no
 * limit. Reads files: call it at the start.
 */
unsigned cpu_quota(void);
/*
 * The same for a file tree below `root` ("" is the real one), which holds proc/self/cgroup,
 * proc/self/mountinfo and the mounted hierarchies, and for a process that may run on `affinity` CPUs.
 */
unsigned cpu_quota_below(const char *root, unsigned affinity);

#endif
