/* test_tokenizer_models.c — every kind of model, file, normaliser and decoder against what `tokenizers` and
 * transformers make of hard texts (tests/golden/tokenizer_models, made by tools/golden_tokenizer_models.py); damaged
 * files; long texts in linear time. */
#include "text/tokenizer.h"

#include "base/os.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "text/json_score.h"
#include "text/tokenizer_parts.h"
#include "tokenizer_test.h"

#define FOLDER TEST_DATA "/tokenizer_models/"

/* Each with the file in its folder that is opened; NULL: the folder. */
static const struct {
    const char *name, *file;
} tokenizers[] = {
    {"llama", NULL},
    {"general", NULL},
    {"plain", NULL},
    {"unigram", NULL},
    {"t5", NULL},
    {"characters", NULL},
    {"words", NULL},
    {"configured_llama", NULL},
    {"configured_general", NULL},
    {"llama2", NULL},
    {"gemma", NULL},
    {"first", NULL},
    {"unigram_json", NULL},
    {"ties", NULL},
    {"wordpiece", NULL},
    {"suffix", NULL},
    {"prefix", NULL},
    {"wordlevel", NULL},
    {"byte_spelled", NULL},
    {"spelled_suffix", NULL},
    {"spelled_unigram", NULL},
    {"tekken", NULL},
    {"tekken", "tekken.json"},
    {"general", "tokenizer.model"},
    {"gguf_llama", "tokenizer.gguf"},
    {"gguf_phi3", "tokenizer.gguf"},
    {"gguf_gemma2", "tokenizer.gguf"},
    {"gguf_t5", "tokenizer.gguf"},
    {"gguf_bert", "tokenizer.gguf"},
    {"gguf_bert_cased", "tokenizer.gguf"},
    {"gguf_whitespace", "tokenizer.gguf"},
    {"gguf_sarvam", "tokenizer.gguf"},
};
enum { TOKENIZERS = sizeof tokenizers / sizeof *tokenizers };

static void path_of(size_t i, char path[1024])
{
    snprintf(path, 1024, FOLDER "%s%s%s", tokenizers[i].name, tokenizers[i].file ? "/" : "",
             tokenizers[i].file ? tokenizers[i].file : "");
}

/* ---- goldens ----------------------------------------------------------------------------- */

static void test_goldens(void **state)
{
    for (size_t i = 0; i < TOKENIZERS; i++) {
        char path[1024], golden[1024];
        path_of(i, path);
        snprintf(golden, sizeof golden, FOLDER "%s/expected.jsonl", tokenizers[i].name);
        assert_true(check_golden(path, golden) > 80);
    }
}

static void check_normalizer(const json_t *line, void *unused)
{
    if (json_object_get(line, "versions")) return;
    struct lorac_tokenizer *t = tokenizer_new(&memory, "normalizer");
    struct parts parts = {.tokenizer = t};
    struct regex_match *match;
    struct text buffer = {.memory = &memory};
    const json_t *given = json_object_get(line, "text"), *expected = json_object_get(line, "normalized");
    const char *text = json_string_value(given);
    size_t length = json_string_length(given);
    assert_int_equal(parts_read_normalizer(&parts, json_object_get(line, "normalizer")), LORAC_OK);
    assert_int_equal(regex_match_create(&match, NULL), LORAC_OK);
    assert_int_equal(normalize(&t->normalizer, match, &buffer, &text, &length, NULL), LORAC_OK);
    if (length != json_string_length(expected) || memcmp(text, json_string_value(expected), length))
        fail_msg("%s makes \"%s\" of \"%s\"", parts_type_of(json_object_get(line, "normalizer")), text,
                 json_string_value(given));
    regex_match_free(match);
    text_free(&buffer);
    lorac_tokenizer_close(t);
}

static void test_normalizers(void **state)
{
    assert_true(each_line(FOLDER "normalizers.jsonl", check_normalizer, NULL) > 150);
    assert_int_equal(memory.used, 0);
}

static void check_score(const json_t *line, void *unused)
{
    if (json_object_get(line, "versions")) return;
    const char *digits = json_string_value(json_object_get(line, "digits"));
    double value, expected = json_real_value(json_object_get(line, "value"));
    assert_true(json_score_read(digits, strlen(digits), &value));
    if (value != expected) fail_msg("%s is read as %.17g, expected %.17g", digits, value, expected);
}

static void test_scores(void **state)
{
    double value;
    assert_true(each_line(FOLDER "scores.jsonl", check_score, NULL) > 200);
    assert_false(json_score_read("1e400", 5, &value));
    assert_int_equal(memory.used, 0);
}

/* ---- damage ------------------------------------------------------------------------------ */

typedef lorac_status (*read_fn)(struct lorac_tokenizer *t, const uint8_t *bytes, size_t size, const json_t *config,
                                lorac_error *err);

static void read_damaged(read_fn read, const char *bytes, size_t size)
{
    struct lorac_tokenizer *t = tokenizer_new(&memory, "damaged");
    lorac_error err = {0};
    lorac_status status = read(t, (const uint8_t *)bytes, size, NULL, &err);
    if (status == LORAC_OK) status = tokenizer_finish(t, &err);
    if (status != LORAC_OK) assert_true(*err.message);
    lorac_tokenizer_close(t);
}

static void check_damage(const char *path, read_fn read)
{
    char *bytes;
    size_t size;
    assert_int_equal(os_read(&memory, path, 1 << 20, &bytes, &size, NULL), LORAC_OK);
    size_t held = memory.used;
    for (size_t cut = 0; cut < size; cut += 97) read_damaged(read, bytes, cut);
    for (size_t at = 0; at < size; at += 29) {
        bytes[at] ^= 1 << at % 7;
        read_damaged(read, bytes, size);
        bytes[at] ^= 1 << at % 7;
    }
    assert_int_equal(memory.used, held);
    mem_free(&memory, bytes);
}

static void test_damage(void **state)
{
    check_damage(FOLDER "general/tokenizer.model", tokenizer_read_model);
    check_damage(FOLDER "unigram/tokenizer.model", tokenizer_read_model);
    check_damage(FOLDER "tekken/tekken.json", tokenizer_read_tekken);
}

/* With ever more memory, opening fails cleanly until it succeeds. */
static void test_out_of_memory(void **state)
{
    for (size_t i = 0; i < TOKENIZERS; i++) {
        struct memory tight = {0};
        struct lorac_tokenizer *t;
        char path[1024];
        path_of(i, path);
        lorac_status status = LORAC_OUT_OF_MEMORY;
        for (tight.limit = 64; status != LORAC_OK && tight.limit < 64 << 20; tight.limit += tight.limit / 4 + 64) {
            lorac_error err = {0};
            status = tokenizer_open(&tight, true, path, &t, &err);
            if (status != LORAC_OK && status != LORAC_OUT_OF_MEMORY)
                fail_msg("limit %zu: %s", tight.limit, err.message);
            if (status == LORAC_OK) lorac_tokenizer_close(t);
            assert_int_equal(tight.used, 0);
        }
        assert_int_equal(status, LORAC_OK);
    }
}

/* ---- long texts -------------------------------------------------------------------------- */

static double seconds_for(const struct lorac_tokenizer *t, const char *unit, size_t length)
{
    size_t size = strlen(unit), count;
    char *text = malloc(length);
    int32_t *ids;
    for (size_t i = 0; i < length; i++) text[i] = unit[i % size];
    double begin = os_seconds();
    assert_int_equal(lorac_tokenizer_encode(t, text, length, 0, &ids, &count, NULL), LORAC_OK);
    double seconds = os_seconds() - begin;
    lorac_free(ids);
    free(text);
    return seconds;
}

/* Text without words: the time must not grow with the square. The bound is far above what any machine needs. */
static void test_long_texts(void **state)
{
    static const char *const units[] = {"a", " ", "\n", "東京は日本", "e\xCC\x81\xCC\xA3\xCC\x96", "ab \xE2\x96\x81"};
    for (size_t i = 0; i < TOKENIZERS; i++) {
        char path[1024];
        path_of(i, path);
        struct lorac_tokenizer *t = open_it(path);
        for (size_t u = 0; u < sizeof units / sizeof *units; u++) {
            double seconds = seconds_for(t, units[u], 300 * strlen(units[u]) * 100);
            if (seconds > 5) fail_msg("%s: \"%s\" over and over takes %.1f s", t->path, units[u], seconds);
        }
        lorac_tokenizer_close(t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_goldens), cmocka_unit_test(test_normalizers),   cmocka_unit_test(test_scores),
        cmocka_unit_test(test_damage),  cmocka_unit_test(test_out_of_memory), cmocka_unit_test(test_long_texts),
    };
    return cmocka_run_group_tests_name("tokenizer_models", tests, NULL, NULL);
}
