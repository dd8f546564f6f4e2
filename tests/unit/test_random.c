/* test_random.c — Philox4x32-10 against Random123's known answers, and the draws built on it. */
#include "base/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>

/* From kat_vectors of the Random123 distribution: counter, key, result. */
static const struct known {
    uint32_t counter[4], key[2], result[4];
} vectors[] = {
    {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
    {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
     {0xffffffff, 0xffffffff},
     {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
    {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
     {0xa4093822, 0x299f31d0},
     {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
};

static void test_known_answers(void **state)
{
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        uint32_t out[4];
        philox4x32(vectors[i].key, vectors[i].counter, out);
        assert_memory_equal(out, vectors[i].result, sizeof out);
    }
}

static void test_keys_differ_in_every_part(void **state)
{
    struct random_key keys[] = {
        random_key(1, RANDOM_TEST, 0, 0, 0),          random_key(2, RANDOM_TEST, 0, 0, 0),
        random_key(1ull << 32, RANDOM_TEST, 0, 0, 0), random_key(1, RANDOM_INIT, 0, 0, 0),
        random_key(1, RANDOM_TEST, 1, 0, 0),          random_key(1, RANDOM_TEST, 1ull << 32, 0, 0),
        random_key(1, RANDOM_TEST, 0, 1, 0),          random_key(1, RANDOM_TEST, 0, 1ull << 32, 0),
        random_key(1, RANDOM_TEST, 0, 0, 1),          random_key(1, RANDOM_TEST, 0, 0, 1ull << 32),
    };
    size_t count = sizeof keys / sizeof *keys;
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < i; j++)
            assert_false(keys[i].word[0] == keys[j].word[0] && keys[i].word[1] == keys[j].word[1]);
}

static void test_unit_is_uniform(void **state)
{
    enum { N = 100000 };
    struct random_key key = random_key(7, RANDOM_TEST, 0, 0, 0);
    double sum = 0, squares = 0;
    for (uint64_t i = 0; i < N; i++) {
        double x = random_unit(key, i);
        assert_true(x >= 0 && x < 1);
        sum += x;
        squares += x * x;
    }
    double mean_error = fabs(sum / N - 0.5), bound = 4 * sqrt(1.0 / 12 / N); /* four standard errors */
    printf("mean off by %.2e (bound %.2e), mean square off by %.2e (bound 4e-3)\n", mean_error, bound,
           fabs(squares / N - 1.0 / 3));
    assert_true(mean_error < bound);
    assert_true(fabs(squares / N - 1.0 / 3) < 4e-3);
}

static void test_below_covers_the_range_evenly(void **state)
{
    enum { N = 70000, BOUND = 7 };
    struct random_key key = random_key(9, RANDOM_TEST, 1, 2, 3);
    int seen[BOUND] = {0};
    for (uint64_t i = 0; i < N; i++) {
        uint64_t x = random_below(key, i, BOUND);
        assert_true(x < BOUND);
        seen[x]++;
    }
    for (int i = 0; i < BOUND; i++) assert_in_range(seen[i], N / BOUND - 500, N / BOUND + 500); /* 5 sigma */
    assert_int_equal(random_below(key, 0, 1), 0);
    for (uint64_t i = 0; i < 100; i++) assert_true(random_below(key, i, 3ull << 62) < 3ull << 62);
}

static void test_permutation(void **state)
{
    enum { N = 1000 };
    size_t items[N], again[N], in_place = 0;
    unsigned char seen[N] = {0};
    random_permutation(random_key(3, RANDOM_SHUFFLE, 0, 0, 0), items, N);
    random_permutation(random_key(3, RANDOM_SHUFFLE, 0, 0, 0), again, N);
    for (size_t i = 0; i < N; i++) {
        assert_true(items[i] < N);
        assert_int_equal(seen[items[i]]++, 0);
        assert_int_equal(items[i], again[i]);
        in_place += items[i] == i;
    }
    assert_true(in_place < 10); /* one is expected */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_answers),   cmocka_unit_test(test_keys_differ_in_every_part),
        cmocka_unit_test(test_unit_is_uniform), cmocka_unit_test(test_below_covers_the_range_evenly),
        cmocka_unit_test(test_permutation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
