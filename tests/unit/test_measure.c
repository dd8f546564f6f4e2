/* test_measure.c — the machine's limits come out finite, in sensible proportion, at every level that this CPU has. */
#include "backend/cpu/kernels.h"
#include "backend/cpu/measure.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static struct memory memory;

/* Whether this CPU has the level: the choice under that cap then is the level itself. */
static bool has_level(const char *isa)
{
    struct cpu_kernels kernels;
    return cpu_kernels_choose(isa, &kernels) && !strcmp(kernels.isa, isa);
}

static void assert_rate(double value, double least, double most)
{
    assert_true(isfinite(value) && value >= least && value <= most);
}

static void each_level_is_measured(void **state)
{
    static const char *const levels[] = {"scalar", "avx2", "avx512", "avx512bf16", "amx"};
    struct pool *pool = NULL;
    assert_int_equal(pool_create(&memory, 2, &pool, NULL), LORAC_OK);
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++) {
        if (!has_level(levels[i])) continue;
        lorac_machine machine = {.struct_size = sizeof machine};
        assert_int_equal(cpu_measure(pool, &memory, levels[i], &machine, NULL), LORAC_OK);
        printf("  %-10s read %.1f GB/s, f32 %.1f GFLOP/s, bf16 %.1f GFLOP/s, int8 %.1f GOP/s\n", levels[i],
               machine.read_bandwidth / 1e9, machine.peak_f32 / 1e9, machine.peak_bf16 / 1e9, machine.peak_int8 / 1e9);
        assert_rate(machine.read_bandwidth, 1e7, 1e14);
        assert_rate(machine.peak_f32, 1e7, 1e15); /* a loop that the compiler dropped would be beyond any bound */
        assert_rate(machine.peak_bf16, i < 3 ? 0 : 1e7, 1e15);
        assert_rate(machine.peak_int8, strcmp(levels[i], "scalar") ? 1e7 : 0, 1e16);
        assert_non_null(memchr(machine.cpu, 0, sizeof machine.cpu));
    }
    pool_free(pool);
    assert_int_equal(memory.used, 0);
}

/* bf16 dot products are left out where they are slower than f32 ones: AMX, another instruction, is not. */
static void uncapped_choice_pays(void **state)
{
    struct cpu_kernels best;
    struct pool *pool = NULL;
    lorac_machine machine = {.struct_size = sizeof machine};
    assert_true(cpu_kernels_choose(NULL, &best));
    if (!has_level("avx512bf16")) return;
    assert_int_equal(pool_create(&memory, 1, &pool, NULL), LORAC_OK);
    assert_int_equal(cpu_measure(pool, &memory, "avx512bf16", &machine, NULL), LORAC_OK);
    pool_free(pool);
    printf("  chosen: %s, where bf16 is %.2f of f32\n", best.isa, machine.peak_bf16 / machine.peak_f32);
    if (has_level("amx"))
        assert_string_equal(best.isa, "amx");
    else
        assert_string_equal(best.isa, machine.peak_bf16 > machine.peak_f32 ? "avx512bf16" : "avx512");
}

static void unknown_level_and_tight_memory_are_errors(void **state)
{
    struct pool *pool = NULL;
    struct memory tight = {.limit = 1 << 20};
    lorac_machine machine = {.struct_size = sizeof machine};
    lorac_error err;
    assert_int_equal(pool_create(&memory, 1, &pool, NULL), LORAC_OK);
    assert_int_equal(cpu_measure(pool, &memory, "mmx", &machine, &err), LORAC_INVALID_ARGUMENT);
    assert_non_null(strstr(err.message, "mmx"));
    assert_int_equal(cpu_measure(pool, &tight, "scalar", &machine, &err), LORAC_OUT_OF_MEMORY);
    assert_int_equal(tight.used, 0);
    pool_free(pool);
}

/* A caller built against an older header has a shorter record: nothing behind it is written. */
static void shorter_record_is_respected(void **state)
{
    struct pool *pool = NULL;
    lorac_machine machine;
    memset(&machine, 0x5a, sizeof machine);
    machine.struct_size = offsetof(lorac_machine, peak_f32);
    assert_int_equal(pool_create(&memory, 2, &pool, NULL), LORAC_OK);
    assert_int_equal(cpu_measure(pool, &memory, "scalar", &machine, NULL), LORAC_OK);
    assert_int_equal(machine.struct_size, offsetof(lorac_machine, peak_f32));
    assert_true(machine.read_bandwidth > 0);
    for (const char *p = (const char *)&machine.peak_f32; p < (const char *)(&machine + 1); p++)
        assert_int_equal(*p, 0x5a);
    pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_level_is_measured),
        cmocka_unit_test(uncapped_choice_pays),
        cmocka_unit_test(unknown_level_and_tight_memory_are_errors),
        cmocka_unit_test(shorter_record_is_respected),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
