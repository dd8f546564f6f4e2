/* test_quantize_mix.c — which type each matrix gets: as in the files that llama.cpp writes (tests/golden/quantize_mix,
 * tools/golden_quantize_mix.py). */
#include "base/os.h"
#include "quant/quantize_mix.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

struct expected {
    struct mix_model model;
    const struct quantize_mix *mix;
    int with; /* importance: 0 without, 1 with, 2 either */
    size_t matrices;
};

static void expect(struct expected *e, const char *tensor, size_t cols, const char *type)
{
    for (int with = 0; with < 2; with++) {
        if (e->with != 2 && e->with != with) continue;
        e->model.importance = with;
        /* Q2_K and Q3_K fall back to IQ4_NL, as llama.cpp's did for long; the version of the golden takes Q4_0, no
         * smaller and worse. */
        if (strcmp(type, "Q4_0") == 0 && e->mix->type != QUANT_Q4_0) type = "IQ4_NL";
        enum quant_type found = quantize_mix_type(e->mix, &e->model, tensor, cols);
        if (strcmp(quant_formats[found].name, type) != 0)
            fail_msg("%s%s: %s is %s, llama.cpp's %s", e->mix->name, with ? " with importance" : "", tensor,
                     quant_formats[found].name, type);
        e->matrices++;
    }
}

/* "token_embd", or "attn_v-3-5" for three layers. */
static void expect_range(struct expected *e, char *range, size_t cols, const char *type)
{
    char tensor[64], *first = strchr(range, '-');
    if (!first) {
        snprintf(tensor, sizeof tensor, "%s.weight", range);
        expect(e, tensor, cols, type);
        return;
    }
    size_t from, to;
    *first = '\0';
    assert_int_equal(sscanf(first + 1, "%zu-%zu", &from, &to), 2);
    for (size_t layer = from; layer <= to; layer++) {
        snprintf(tensor, sizeof tensor, "blk.%zu.%s.weight", layer, range);
        expect(e, tensor, cols, type);
    }
}

static void expect_line(struct expected *e, char *line)
{
    char *rest, *type = strtok_r(line, " ", &rest), *word = strtok_r(NULL, " ", &rest);
    if (strcmp(type, "model") == 0) {
        e->model = (struct mix_model){.layers = strtoul(word, NULL, 10)};
        e->model.heads = strtoul(strtok_r(NULL, " ", &rest), NULL, 10);
        e->model.kv_heads = strtoul(strtok_r(NULL, " ", &rest), NULL, 10);
        e->model.tied = atoi(strtok_r(NULL, " ", &rest));
    } else if (strcmp(type, "mix") == 0) {
        e->mix = quantize_mix_named(word);
        if (!e->mix) fail_msg("no mix %s", word);
        e->with = atoi(strtok_r(NULL, " ", &rest));
    } else {
        size_t cols = strtoul(word, NULL, 10);
        while ((word = strtok_r(NULL, " ", &rest))) expect_range(e, word, cols, type);
    }
}

static void llama_cpps_types(void **state)
{
    struct memory m = {0};
    struct expected e = {0};
    char *text, *rest;
    size_t size;
    lorac_error err;
    (void)state;
    if (os_read(&m, TEST_DATA "/quantize_mix/types.txt", 1 << 20, &text, &size, &err) != LORAC_OK)
        fail_msg("%s", err.message);
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) expect_line(&e, line);
    printf("    %zu matrices\n", e.matrices);
    assert_true(e.matrices > 10000);
    mem_free(&m, text);
}

/* Every mix is found by its name in any case, and falls back as the types do. */
static void names_and_fallbacks(void **state)
{
    static const enum quant_type pairs[][2] = {
        {QUANT_Q2_K, QUANT_IQ4_NL}, {QUANT_Q3_K, QUANT_IQ4_NL}, {QUANT_IQ4_XS, QUANT_IQ4_NL}, {QUANT_Q4_K, QUANT_Q5_0},
        {QUANT_Q5_K, QUANT_Q5_1},   {QUANT_Q6_K, QUANT_Q8_0},   {QUANT_Q4_0, QUANT_Q4_0},     {QUANT_F32, QUANT_F32},
    };
    const struct quantize_mix *mix;
    (void)state;
    for (size_t i = 0; (mix = quantize_mix_at(i)); i++) assert_ptr_equal(quantize_mix_named(mix->name), mix);
    assert_string_equal(quantize_mix_named("q4_k_m")->name, "Q4_K_M");
    assert_null(quantize_mix_named("Q4_K_X"));
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        assert_int_equal(quant_fallback(pairs[i][0], 512), pairs[i][0]);
        assert_int_equal(quant_fallback(pairs[i][0], 96), pairs[i][1]);
        assert_int_equal(quant_fallback(pairs[i][0], 48), pairs[i][0] == QUANT_F32 ? QUANT_F32 : QUANT_F16);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(llama_cpps_types), cmocka_unit_test(names_and_fallbacks)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
