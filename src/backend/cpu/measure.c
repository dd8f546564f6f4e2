/* measure.c — runs the bare loops of peaks.h on every thread at once and keeps the best of several short runs: what the
 * machine can do when nobody disturbs it. See measure.h. */
#include "backend/cpu/measure.h"

#include "backend/cpu/peaks.h"
#include "base/os.h"

#include <string.h>

enum { TASKS = 16, REPEATS = 8, BLOCK = 256 << 20 };

struct measuring {
    struct cpu_peaks peaks;
    double (*loop)(size_t rounds, float *sink);
    size_t rounds;
    const uint8_t *block;
    size_t bytes; /* of the block a task reads */
    double done[TASKS];
};

static void loop_task(void *context, size_t task, int worker)
{
    struct measuring *m = context;
    float sink = 0;
    m->done[task] = m->loop(m->rounds, &sink);
    if (sink == 1e-30f) m->done[task] = 0; /* the compiler must not know that nobody looks */
}

static void read_task(void *context, size_t task, int worker)
{
    struct measuring *m = context;
    uint64_t sink = 0;
    m->peaks.read(m->block + task * m->bytes, m->bytes, &sink);
    m->done[task] = (double)m->bytes + (sink == 1);
}

/* Work per second of one run of all tasks. */
static double rate(struct pool *pool, struct measuring *m, pool_task task)
{
    double start = os_seconds(), sum = 0;
    if (!pool_run(pool, POOL_HIGH, task, m, TASKS, NULL)) return 0;
    double seconds = os_seconds() - start;
    for (size_t i = 0; i < TASKS; i++) sum += m->done[i];
    return seconds > 0 ? sum / seconds : 0;
}

static double best(struct pool *pool, struct measuring *m, pool_task task)
{
    double most = 0;
    for (int i = 0; i < REPEATS; i++) {
        double r = rate(pool, m, task);
        if (r > most) most = r;
    }
    return most;
}

/* Rounds are doubled until a run of all tasks takes 20 ms at least. */
static double peak(struct pool *pool, struct measuring *m, double (*loop)(size_t, float *))
{
    if (!loop) return 0;
    m->loop = loop;
    for (m->rounds = 1000;; m->rounds *= 2) {
        double start = os_seconds();
        rate(pool, m, loop_task);
        if (os_seconds() - start > 0.02 || m->rounds > (size_t)1 << 30) break;
    }
    return best(pool, m, loop_task);
}

static const struct {
    const char *isa;
    void (*fill)(struct cpu_peaks *p);
} levels[] = {
    {"scalar", peaks_scalar},
#if LORAC_X86
    {"avx2", peaks_avx2},     {"avx512", peaks_avx512}, {"avx512bf16", peaks_avx512bf16}, {"amx", peaks_amx},
#endif
};

lorac_status cpu_measure(struct pool *pool, struct memory *memory, const char *isa, lorac_machine *machine,
                         lorac_error *err)
{
    struct measuring m = {0};
    size_t bytes = BLOCK, size = machine->struct_size;
    if (os_physical_memory() / 8 < bytes) bytes = os_physical_memory() / 8;
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++)
        if (!strcmp(levels[i].isa, isa)) levels[i].fill(&m.peaks);
    if (!m.peaks.f32) return fail(err, LORAC_INVALID_ARGUMENT, NULL, "there is no instruction set level \"%s\"", isa);
    uint8_t *block = mem_alloc(memory, bytes);
    if (!block) return fail_memory(err, "the bandwidth measurement", bytes);
    memset(block, 1, bytes); /* every page is there */
    m.block = block;
    m.bytes = bytes / TASKS / 256 * 256;
    lorac_machine full = {.struct_size = size, .read_bandwidth = best(pool, &m, read_task)};
    mem_free(memory, block);
    os_reset_peak_resident_bytes(); /* the block is no part of what the process needs */
    full.peak_f32 = peak(pool, &m, m.peaks.f32);
    full.peak_bf16 = peak(pool, &m, m.peaks.bf16);
    full.peak_int8 = peak(pool, &m, m.peaks.int8);
    os_cpu_name(full.cpu, sizeof full.cpu);
    memcpy(machine, &full, size && size < sizeof full ? size : sizeof full);
    return LORAC_OK;
}
