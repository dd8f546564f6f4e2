/* choose.c — which kernels this CPU runs: asked once, when a runtime is created. */
#include "backend/cpu/families.h"

#include <string.h>
#if LORAC_X86
#include <cpuid.h>
#endif

void cpu_kernels_scalar(struct cpu_kernels *t)
{
    memset(t, 0, sizeof *t);
    t->isa = "scalar";
    gemm_scalar(t);
    gemv_scalar(t);
    gemm_q8_scalar(t);
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
    rows_avx2(t);
    attention_avx2(t);
}

void cpu_kernels_avxvnni(struct cpu_kernels *t)
{
    gemm_q8_avxvnni(t);
    gemv_avxvnni(t);
}

void cpu_kernels_avx512(struct cpu_kernels *t)
{
    t->isa = "avx512";
    gemm_avx512(t);
    gemv_avx512(t);
    gemm_q8_avx512(t);
    rows_avx512(t);
    attention_avx512(t);
}

void cpu_kernels_avx512bf16(struct cpu_kernels *t)
{
    t->isa = "avx512bf16";
    gemm_avx512bf16(t);
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
#endif

static const struct {
    const char *name;
    bool (*supported)(void);
    void (*overlay)(struct cpu_kernels *t);
} levels[] = {
    {"scalar", NULL, cpu_kernels_scalar},
#if LORAC_X86
    {"avx2", has_avx2, overlay_avx2},
    {"avx512", has_avx512, cpu_kernels_avx512},
    {"avx512bf16", has_avx512bf16, cpu_kernels_avx512bf16},
#endif
};

bool cpu_kernels_choose(const char *cap, struct cpu_kernels *t)
{
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++) {
        if (levels[i].supported && !levels[i].supported()) return !cap;
        levels[i].overlay(t);
        if (cap && !strcmp(cap, levels[i].name)) return true;
    }
    return !cap;
}
