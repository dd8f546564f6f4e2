/* tokenizer_test.h — a tokenizer against a golden of texts, ids and what they decode to, at once and streamed. Include
 * after cmocka.h. */
#ifndef TESTS_TOKENIZER_TEST_H
#define TESTS_TOKENIZER_TEST_H

#include "golden_lines.h"
#include "text/tokenizer.h"
#include "text/utf8.h"

static struct lorac_tokenizer *open_it(const char *path)
{
    lorac_error err = {0};
    struct lorac_tokenizer *t = NULL;
    if (tokenizer_open(&memory, true, path, &t, &err)) fail_msg("%s", err.message);
    return t;
}

static void check_ids(const struct lorac_tokenizer *t, const json_t *line, const char *key, bool add_special)
{
    const json_t *text = json_object_get(line, "text"), *expected = json_object_get(line, key);
    int32_t *ids;
    size_t count;
    lorac_error err;
    if (lorac_tokenizer_encode(t, json_string_value(text), json_string_length(text), add_special, &ids, &count, &err))
        fail_msg("%s", err.message);
    bool same = count == json_array_size(expected);
    for (size_t i = 0; i < count && same; i++) same = ids[i] == json_integer_value(json_array_get(expected, i));
    if (!same) fail_msg("%s: the tokens of \"%s\" differ", t->path, json_string_value(text));
    lorac_free(ids);
}

static void check_streamed(const struct lorac_tokenizer *t, const int32_t *ids, size_t count, bool skip,
                           const char *text, size_t length)
{
    lorac_detokenizer *stream;
    struct text all = {.memory = &memory};
    const char *piece;
    size_t piece_length;
    assert_int_equal(lorac_detokenizer_create(t, skip, &stream, NULL), LORAC_OK);
    for (int twice = 0; twice < 2; twice++) {
        all.length = 0;
        for (size_t i = 0; i <= count; i++) {
            lorac_status status = i < count ? lorac_detokenizer_push(stream, ids[i], &piece, &piece_length, NULL)
                                            : lorac_detokenizer_flush(stream, &piece, &piece_length, NULL);
            assert_int_equal(status, LORAC_OK);
            assert_true(utf8_is_valid(piece, piece_length));
            text_add(&all, piece, piece_length);
        }
        assert_int_equal(all.length, length);
        if (length) assert_memory_equal(all.data, text, length);
    }
    text_free(&all);
    lorac_detokenizer_free(stream);
}

static void check_text(const struct lorac_tokenizer *t, const json_t *line, const char *key, bool skip)
{
    const json_t *expected = json_object_get(line, key), *special = json_object_get(line, "special");
    size_t count = json_array_size(special), length;
    int32_t *ids = calloc(count + 1, sizeof *ids);
    char *text;
    for (size_t i = 0; i < count; i++) ids[i] = (int32_t)json_integer_value(json_array_get(special, i));
    lorac_error err;
    if (lorac_tokenizer_decode(t, ids, count, skip, &text, &length, &err)) fail_msg("%s", err.message);
    if (length != json_string_length(expected) || memcmp(text, json_string_value(expected), length))
        fail_msg("%s: decoded \"%s\", expected \"%s\"", t->path, text, json_string_value(expected));
    check_streamed(t, ids, count, skip, text, length);
    lorac_free(text);
    free(ids);
}

/* The first line tells what made the golden. */
static void check_line(const json_t *line, void *context)
{
    const struct lorac_tokenizer *t = context;
    if (json_object_get(line, "versions")) return;
    if (json_object_get(line, "text")) {
        check_ids(t, line, "tokens", false);
        check_ids(t, line, "special", true);
    }
    check_text(t, line, "decoded", false);
    check_text(t, line, "skipped", true);
}

/* How many lines there are. */
static size_t check_golden(const char *tokenizer, const char *golden)
{
    struct lorac_tokenizer *t = open_it(tokenizer);
    size_t lines = each_line(golden, check_line, t);
    lorac_tokenizer_close(t);
    assert_int_equal(memory.used, 0);
    return lines;
}

#endif
