/* os_machine.c — time, processors and memory of a Linux machine. See os.h.
 *
 * Facts come from /proc and /sys; a file that is missing or odd is passed over, never an error. */
#if defined(__linux__)
#include "base/os.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

enum { PATH_CAP = 1024 };

/* ---- helpers ----------------------------------------------------------------------------- */

/* A small file's text, cut at the buffer's size. Read with read(): these files have no length. */
static bool read_small(const char *path, char *text, size_t size)
{
    int handle = open(path, O_RDONLY | O_CLOEXEC);
    if (handle < 0) return false;
    size_t length = 0;
    for (ssize_t n; length + 1 < size && (n = read(handle, text + length, size - 1 - length)) > 0;) length += (size_t)n;
    close(handle);
    text[length] = 0;
    return length > 0;
}

/* What follows `field` and ':' on a line of "field : value" lines. */
static const char *find_field(const char *text, const char *field)
{
    size_t length = strlen(field);
    for (const char *line = text; line; line = strchr(line, '\n'), line = line ? line + 1 : NULL) {
        if (strncmp(line, field, length) != 0) continue;
        const char *colon = line + length + strspn(line + length, " \t");
        if (*colon == ':') return colon + 1 + strspn(colon + 1, " \t");
    }
    return NULL;
}

/* ---- control groups ---------------------------------------------------------------------- */

/* The path of this process in hierarchy `controller` ("" is version 2's only one) from /proc/self/cgroup,
 * whose lines are "id:controller,controller:/path". */
static bool cgroup_path(const char *controller, char *path, size_t size)
{
    char text[8192], *rest = NULL;
    if (!read_small("/proc/self/cgroup", text, sizeof text)) return false;
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        char *first = strchr(line, ':'), *second = first ? strchr(first + 1, ':') : NULL;
        if (!second) continue;
        *second = 0;
        char *inner = NULL;
        bool found = !*controller && !first[1];
        for (char *name = strtok_r(first + 1, ",", &inner); name && !found; name = strtok_r(NULL, ",", &inner))
            found = strcmp(name, controller) == 0;
        if (found) return snprintf(path, size, "%s", second + 1) < (int)size;
    }
    return false;
}

/* The lowest limit from the process's group up to the root of the mount (in a container the path may be the
 * host's and only the root be visible). `limit` reads a group's folder; 0 means none there. */
static double lowest_limit(const char *mount, const char *controller, double (*limit)(const char *folder))
{
    char path[PATH_CAP], folder[2 * PATH_CAP];
    double lowest = 0;
    if (!cgroup_path(controller, path, sizeof path)) return 0;
    for (char *end = path + strlen(path);; *end = 0) {
        snprintf(folder, sizeof folder, "%s%s", mount, path);
        double found = limit(folder);
        if (found > 0 && (lowest == 0 || found < lowest)) lowest = found;
        if (!*path || !(end = strrchr(path, '/'))) return lowest;
    }
}

static bool read_in(const char *folder, const char *name, char *text, size_t size)
{
    char path[3 * PATH_CAP];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return read_small(path, text, size);
}

static double cpu_limit_v2(const char *folder) /* "QUOTA PERIOD" or "max PERIOD" */
{
    char text[128], *end;
    if (!read_in(folder, "cpu.max", text, sizeof text)) return 0;
    unsigned long long quota = strtoull(text, &end, 10), period = strtoull(end, NULL, 10);
    return end != text && period ? (double)quota / (double)period : 0;
}

static double cpu_limit_v1(const char *folder) /* a quota of -1 is none */
{
    char quota[64], period[64];
    if (!read_in(folder, "cpu.cfs_quota_us", quota, sizeof quota)) return 0;
    if (!read_in(folder, "cpu.cfs_period_us", period, sizeof period)) return 0;
    long long q = strtoll(quota, NULL, 10), p = strtoll(period, NULL, 10);
    return q > 0 && p > 0 ? (double)q / (double)p : 0;
}

static double memory_limit_v2(const char *folder) /* bytes or "max", which reads as 0 */
{
    char text[64];
    return read_in(folder, "memory.max", text, sizeof text) ? (double)strtoull(text, NULL, 10) : 0;
}

static double memory_limit_v1(const char *folder)
{
    char text[64];
    return read_in(folder, "memory.limit_in_bytes", text, sizeof text) ? (double)strtoull(text, NULL, 10) : 0;
}

static double lower(double a, double b)
{
    return a == 0 || (b != 0 && b < a) ? b : a;
}

static double cpu_limit(void)
{
    return lower(lowest_limit("/sys/fs/cgroup", "", cpu_limit_v2),
                 lowest_limit("/sys/fs/cgroup/cpu", "cpu", cpu_limit_v1));
}

static double memory_limit(void)
{
    return lower(lowest_limit("/sys/fs/cgroup", "", memory_limit_v2),
                 lowest_limit("/sys/fs/cgroup/memory", "memory", memory_limit_v1));
}

/* ---- processors -------------------------------------------------------------------------- */

/* The first processor of a list such as "0-3,8" that is in the set; -1 if none is. */
static int first_listed(const char *list, const cpu_set_t *set)
{
    while (*list >= '0' && *list <= '9') {
        char *end;
        long from = strtol(list, &end, 10), to = *end == '-' ? strtol(end + 1, &end, 10) : from;
        for (long cpu = from; cpu <= to && cpu < CPU_SETSIZE; cpu++)
            if (CPU_ISSET((size_t)cpu, set)) return (int)cpu;
        list = *end == ',' ? end + 1 : end;
    }
    return -1;
}

/* One of each core's hardware threads is enough: the others share its multipliers. */
static int count_cores(const cpu_set_t *allowed)
{
    int cores = 0;
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        char path[128], list[256];
        if (!CPU_ISSET((size_t)cpu, allowed)) continue;
        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", cpu);
        cores += !read_small(path, list, sizeof list) || first_listed(list, allowed) == cpu;
    }
    return cores;
}

/* On a hybrid processor the tasks of one operation would wait for the slow cores: take the fast ones only. */
static void keep_performance_cores(cpu_set_t *allowed)
{
    char list[1024];
    cpu_set_t fast;
    if (!read_small("/sys/devices/cpu_core/cpus", list, sizeof list)) return;
    CPU_ZERO(&fast);
    for (int cpu; (cpu = first_listed(list, allowed)) >= 0; CPU_CLR((size_t)cpu, allowed)) CPU_SET((size_t)cpu, &fast);
    if (CPU_COUNT(&fast)) *allowed = fast;
}

int os_default_threads(void)
{
    cpu_set_t allowed;
    int threads;
    CPU_ZERO(&allowed);
    if (sched_getaffinity(0, sizeof allowed, &allowed) == 0) {
        keep_performance_cores(&allowed);
        threads = count_cores(&allowed);
    } else { /* more processors than a cpu_set_t holds */
        threads = (int)sysconf(_SC_NPROCESSORS_ONLN);
    }
    double quota = cpu_limit();
    if (quota > 0 && quota < threads) threads = (int)quota; /* rounded down: one thread too many gets all throttled */
    return threads < 1 ? 1 : threads;
}

void os_cpu_name(char *name, size_t size)
{
    char text[4096];
    struct utsname machine;
    const char *found = read_small("/proc/cpuinfo", text, sizeof text) ? find_field(text, "model name") : NULL;
    if (!found && read_small("/sys/firmware/devicetree/base/model", text, sizeof text)) found = text;
    if (!found) found = uname(&machine) == 0 ? machine.machine : "unknown";
    snprintf(name, size, "%.*s", (int)strcspn(found, "\n"), found);
}

double os_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* ---- memory ------------------------------------------------------------------------------ */

size_t os_physical_memory(void)
{
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    size_t bytes = pages > 0 && page > 0 ? (size_t)pages * (size_t)page : 0;
    double limit = memory_limit();
    return limit > 0 && limit < (double)bytes ? (size_t)limit : bytes;
}

size_t os_resident_bytes(void)
{
    char text[128], *end;
    if (!read_small("/proc/self/statm", text, sizeof text)) return 0;
    strtoull(text, &end, 10); /* the first field is the whole address space */
    return (size_t)strtoull(end, NULL, 10) * (size_t)sysconf(_SC_PAGESIZE);
}

size_t os_peak_resident_bytes(void)
{
    char text[4096];
    const char *field = read_small("/proc/self/status", text, sizeof text) ? find_field(text, "VmHWM") : NULL;
    return field ? (size_t)strtoull(field, NULL, 10) * 1024 : 0;
}

void os_reset_peak_resident_bytes(void)
{
    int handle = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);
    if (handle < 0) return;
    ssize_t n = write(handle, "5", 1); /* refused by some containers: then the peak goes on from before */
    (void)n;
    close(handle);
}
#else
typedef int os_machine_is_elsewhere; /* ISO C wants a declaration */
#endif
