/* os_machine_macos.c — time, processors and memory of a Mac. See os.h. Untested until someone runs it there. */
#if defined(__APPLE__)
#include "base/os.h"

#include <mach/mach.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/sysctl.h>
#include <time.h>

static bool read_number(const char *name, uint64_t *value)
{
    uint64_t wide = 0;
    size_t size = sizeof wide; /* a 32-bit answer fills the low half: every Mac is little-endian */
    if (sysctlbyname(name, &wide, &size, NULL, 0) != 0) return false;
    *value = wide;
    return true;
}

double os_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

int os_default_threads(void) /* perflevel0 are the performance cores of Apple silicon */
{
    uint64_t cores = 0;
    if (!read_number("hw.perflevel0.physicalcpu", &cores)) read_number("hw.physicalcpu", &cores);
    return cores < 1 ? 1 : (int)cores;
}

size_t os_physical_memory(void)
{
    uint64_t bytes = 0;
    read_number("hw.memsize", &bytes);
    return (size_t)bytes;
}

size_t os_resident_bytes(void)
{
    struct mach_task_basic_info info;
    mach_msg_type_number_t count = MACH_TASK_BASIC_INFO_COUNT;
    if (task_info(mach_task_self(), MACH_TASK_BASIC_INFO, (task_info_t)&info, &count) != KERN_SUCCESS) return 0;
    return (size_t)info.resident_size;
}

size_t os_peak_resident_bytes(void)
{
    struct rusage usage;
    return getrusage(RUSAGE_SELF, &usage) == 0 ? (size_t)usage.ru_maxrss : 0; /* bytes, unlike elsewhere */
}

void os_reset_peak_resident_bytes(void) {} /* the system has no such call */

void os_cpu_name(char *name, size_t size)
{
    size_t length = size;
    if (sysctlbyname("machdep.cpu.brand_string", name, &length, NULL, 0) != 0) snprintf(name, size, "unknown");
}
#else
typedef int os_machine_macos_is_elsewhere; /* ISO C wants a declaration */
#endif
