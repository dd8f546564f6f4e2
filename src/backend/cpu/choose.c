/* choose.c — which kernels this CPU runs: asked once, when a runtime is created. */
#include "backend/cpu/families.h"
#include "backend/cpu/peaks.h"

#include <string.h>
#if LORAC_X86
#include <cpuid.h>
#endif
#if LORAC_X86 && defined __linux__
#include <sys/syscall.h>
#include <unistd.h>
#endif

void cpu_kernels_scalar(struct cpu_kernels *t)
{
    memset(t, 0, sizeof *t);
    t->isa = "scalar";
    gemm_scalar(t);
    gemv_scalar(t);
    gemm_q8_scalar(t);
    gemv_k_scalar(t);
    rows_scalar(t);
    attention_scalar(t);
}

#if LORAC_X86
void cpu_kernels_avx2(struct cpu_kernels *t)
{
    t->isa = "avx2";
    gemm_avx2(t);
    gemv_avx2(t);
    gemm_q8_avx2(t);
    gemm_q8_k_avx2(t);
    gemv_k_avx2(t);
    unpack_planes_avx2(t);
    gemv_e4m3_avx2(t);
    gemm_codes_avx2(t);
    gemv_codes_avx2(t);
    rows_avx2(t);
    attention_avx2(t);
}

void cpu_kernels_avxvnni(struct cpu_kernels *t)
{
    gemm_q8_avxvnni(t);
    gemm_q8_k_avxvnni(t);
    gemm_codes_avx2(t);
    gemv_avxvnni(t);
    gemv_codes_avxvnni(t);
}

void cpu_kernels_avx512(struct cpu_kernels *t)
{
    t->isa = "avx512";
    gemm_avx512(t);
    gemv_avx512(t);
    unpack_planes_avx512(t);
    gemv_e4m3_avx512(t);
    unpack_parts_avx512(t);
    gemv_q8_avx512(t);
    gemm_q8_avx512(t);
    gemm_q8_k_avx512(t);
    gemv_k_avx512(t);
    gemm_q2_k_avx512(t);
    gemm_codes_avx512(t);
    gemv_codes_avx512(t);
    gemv_chunks_avx512(t);
    if (__builtin_cpu_supports("avx512vbmi"))
        gemm_codes_avx512vbmi(t), gemv_codes_avx512vbmi(t), gemv_chunks_avx512vbmi(t);
    rows_avx512(t);
    attention_avx512(t);
}

void cpu_kernels_avx512bf16(struct cpu_kernels *t)
{
    t->isa = "avx512bf16";
    gemm_avx512bf16(t);
    gemm_codes_avx512bf16(t);
    attention_avx512bf16(t);
}

void cpu_kernels_amx(struct cpu_kernels *t)
{
    t->isa = "amx";
    gemm_amx(t);
    attention_amx(t);
}

/* The compiler's own test asks the operating system as well (XGETBV): the registers must be saved.
 * Every CPU with AVX2 converts f16 too, and not every compiler knows that name. */
static bool has_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}
/* Leaf 7, subleaf 1 (not every compiler knows the name). It comes with AVX2: no level of its own. */
bool cpu_has_avxvnni(void)
{
    unsigned eax, ebx, ecx, edx;
    return has_avx2() && __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) && (eax & 1u << 4);
}
static void overlay_avx2(struct cpu_kernels *t)
{
    cpu_kernels_avx2(t);
    if (cpu_has_avxvnni()) cpu_kernels_avxvnni(t);
}
static bool has_avx512(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vnni");
}
static bool has_avx512bf16(void)
{
    return __builtin_cpu_supports("avx512bf16");
}

/* Operations per cycle of the time stamp counter: the best of several runs of a few microseconds. */
static double rate(double (*loop)(size_t rounds, float *sink))
{
    double best = 0;
    for (int i = 0; i < 16; i++) {
        float sink = 0;
        uint64_t start = __builtin_ia32_rdtsc();
        double done = loop(1000, &sink), r = done / (double)(__builtin_ia32_rdtsc() - start);
        if (r > best && sink != 1e-30f) best = r; /* the compiler must not know that nobody looks */
    }
    return best;
}

/* AMD's cores do twice as many bf16 products as f32 ones, some of Intel's half as many. */
static bool bf16_beats_f32(void)
{
    struct cpu_peaks p;
    peaks_avx512bf16(&p);
    return rate(p.bf16) > rate(p.f32);
}

static bool cpuid_has_amx(void)
{
    enum { OSXSAVE = 1 << 27, TILE_STATE = 3 << 17, BF16 = 1 << 22, TILE = 1 << 24, INT8 = 1 << 25 };
    unsigned a, b, c, d, low, high;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & OSXSAVE)) return false;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    if ((low & TILE_STATE) != TILE_STATE || !__get_cpuid_count(7, 0, &a, &b, &c, &d)) return false;
    return (d & BF16) && (d & TILE) && (d & INT8);
}

/* Linux saves the tile registers only of a process that asked for it; a thread's signal stack may be too small. */
bool cpu_has_amx(void)
{
#ifdef __linux__
    enum { ARCH_REQ_XCOMP_PERM = 0x1023, XFEATURE_XTILEDATA = 18 };
    return cpuid_has_amx() && !syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA);
#else
    return false;
#endif
}
#endif

static const struct {
    const char *name;
    bool (*supported)(void);
    void (*overlay)(struct cpu_kernels *t);
    bool (*pays)(void); /* as the best level, when nobody asks for it by name; NULL: always */
} levels[] = {
    {"scalar", NULL, cpu_kernels_scalar, NULL},
#if LORAC_X86
    {"avx2", has_avx2, overlay_avx2, NULL},
    {"avx512", has_avx512, cpu_kernels_avx512, NULL},
    {"avx512bf16", has_avx512bf16, cpu_kernels_avx512bf16, bf16_beats_f32},
    {"amx", cpu_has_amx, cpu_kernels_amx, NULL},
#endif
};

bool cpu_kernels_choose(const char *cap, struct cpu_kernels *t)
{
    bool found = !cap;
    size_t count = 0;
    while (count < sizeof levels / sizeof *levels && (!levels[count].supported || levels[count].supported())) {
        count++;
        if (cap && !strcmp(cap, levels[count - 1].name)) {
            found = true;
            break;
        }
    }
    if (!cap && levels[count - 1].pays && !levels[count - 1].pays()) count--;
    for (size_t i = 0; i < count; i++) levels[i].overlay(t);
    return found;
}
