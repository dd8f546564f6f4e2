/* runtime.h — what a process shares: the thread pool, the backend, byte budgets and the log.
 *
 * Several runtimes may exist; none is global. Everything opened from a runtime must be closed before it.
 * Thread rule: a runtime may be used from any thread. */
#ifndef LORAC_RUNTIME_H
#define LORAC_RUNTIME_H

#include <lorac/status.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lorac_runtime lorac_runtime;

typedef void (*lorac_log_fn)(void *user, const char *line);

typedef struct lorac_runtime_options {
    size_t struct_size;
    int threads;         /* 0: from the affinity, the cgroup's quota and the physical cores */
    size_t memory_limit; /* bytes of the accounted heap, mapped weights excepted; 0: none */
    int no_mmap;         /* read weights into the heap instead of mapping them */
    const char *backend; /* "cpu" (default) or "trace" (the CPU, refusing host reads between submissions: for tests) */
    const char *isa;     /* cap: "scalar", "avx2", "avx512", "avx512bf16" or "amx"; NULL: LORAC_ISA's, else none */
    lorac_log_fn log;    /* called for warnings; NULL: silence */
    void *log_user;
} lorac_runtime_options;

LORAC_API void lorac_runtime_options_init(lorac_runtime_options *options);
LORAC_API lorac_status lorac_runtime_create(const lorac_runtime_options *options, lorac_runtime **runtime,
                                            lorac_error *err);
LORAC_API void lorac_runtime_free(lorac_runtime *runtime);

typedef struct lorac_runtime_info {
    size_t struct_size;
    int threads;
    const char *isa;                                /* borrowed from the runtime */
    const char *backend;                            /* borrowed */
    size_t heap_bytes, heap_peak_bytes, heap_calls; /* the accounted heap: now, most ever, allocations made */
} lorac_runtime_info;
LORAC_API void lorac_runtime_get_info(const lorac_runtime *runtime, lorac_runtime_info *info);

/* The limits of this machine, measured now with this runtime's threads (about 2 s). The process's peak of resident
 * memory counts anew from here, where the system allows that: the measurement takes up to 256 MiB. */
typedef struct lorac_machine {
    size_t struct_size;
    char cpu[64];
    double read_bandwidth; /* bytes per second, all threads reading a block larger than the caches */
    double peak_f32;       /* FLOP/s of a chain-free multiply-add loop */
    double peak_bf16;      /* FLOP/s of bf16 dot products; 0 where the ISA has none */
    double peak_int8;      /* OP/s of int8 dot products; 0 where the ISA has none */
} lorac_machine;
LORAC_API lorac_status lorac_machine_measure(lorac_runtime *runtime, lorac_machine *machine, lorac_error *err);

#ifdef __cplusplus
}
#endif
#endif
