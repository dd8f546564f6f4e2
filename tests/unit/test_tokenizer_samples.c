/* test_tokenizer_samples.c — the real tokenizers of model families on a few hundred hard texts, against hashes of what
 * the `tokenizers` package gives (tests/golden/samples, made by tools/golden_samples.py). The files are too large to
 * keep: those that tools/get_tokenizers.py has not put into $LORAC_TOKENIZERS (~/.cache/lorac-tokenizers) are named and
 * skipped. */
#include "text/tokenizer.h"

#include "base/os.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "golden_lines.h"

enum { BLOCK = 16, HASHED = 1 << 20 };

static uint64_t fnv(uint64_t hash, const void *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++) hash = (hash ^ ((const uint8_t *)bytes)[i]) * 0x100000001B3u;
    return hash;
}
static const uint64_t start = 0xCBF29CE484222325u;

static void append_line(const json_t *line, void *lines)
{
    json_array_append(lines, (json_t *)line);
}

static json_t *read_lines(const char *path)
{
    json_t *lines = json_array();
    each_line(path, append_line, lines);
    return lines;
}

static bool is_hash(const json_t *row, const char *key, size_t i, uint64_t hash)
{
    const json_t *list = json_object_get(row, key);
    return strtoull(json_string_value(json_array_get(list, i)), NULL, 16) == hash;
}

/* One text: its ids and their decoded text go into the hashes. */
static void add_text(const struct lorac_tokenizer *t, const json_t *text, uint64_t *tokens, uint64_t *decoded)
{
    static const int32_t end = -1;
    int32_t *ids;
    size_t count, length;
    char *back;
    lorac_error err;
    if (lorac_tokenizer_encode(t, json_string_value(text), json_string_length(text), 0, &ids, &count, &err) ||
        lorac_tokenizer_decode(t, ids, count, 0, &back, &length, &err))
        fail_msg("a text: %s", err.message);
    *tokens = fnv(fnv(*tokens, ids, count * sizeof *ids), &end, sizeof end);
    *decoded = fnv(*decoded, back, length + 1);
    lorac_free(back);
    lorac_free(ids);
}

/* The tokenizer.json alone: the files beside it are not the reference's. */
static void check_tokenizer(const char *path, const json_t *row, const json_t *texts)
{
    struct lorac_tokenizer *t = NULL;
    struct os_file file;
    lorac_error err;
    if (os_file_open(&memory, path, true, &file, &err)) fail_msg("%s", err.message);
    if (tokenizer_open_json_bytes(&memory, (const char *)file.data, file.size, &t, &err))
        fail_msg("%s: %s", path, err.message);
    os_file_close(&file);
    for (size_t i = 0; i < json_array_size(texts); i += BLOCK) {
        uint64_t tokens = start, decoded = start;
        for (size_t j = i; j < i + BLOCK && j < json_array_size(texts); j++)
            add_text(t, json_array_get(texts, j), &tokens, &decoded);
        if (!is_hash(row, "tokens", i / BLOCK, tokens)) fail_msg("%s: texts %zu.. have other tokens", path, i);
        if (!is_hash(row, "decoded", i / BLOCK, decoded)) fail_msg("%s: texts %zu.. decode differently", path, i);
    }
    lorac_tokenizer_close(t);
}

/* The file that the golden was made with? */
static bool is_same_file(const char *path, const json_t *row)
{
    struct os_file file;
    if (!os_is_file(path) || os_file_open(&memory, path, true, &file, NULL)) return false;
    uint64_t hash = fnv(start, file.data, file.size < HASHED ? file.size : HASHED);
    os_file_close(&file);
    return hash == strtoull(json_string_value(json_object_get(row, "bytes")), NULL, 16);
}

static void test_samples(void **state)
{
    json_t *rows = read_lines(TEST_DATA "/samples/tokenizers.jsonl"),
           *texts = read_lines(TEST_DATA "/samples/texts.jsonl");
    const char *given = getenv("LORAC_TOKENIZERS"), *home = getenv("HOME");
    size_t checked = 0;
    assert_true(json_array_size(texts) >= 300);
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);
        const char *name = json_string_value(json_object_get(row, "name"));
        char path[2048];
        snprintf(path, sizeof path, "%s%s/%s/tokenizer.json",
                 given  ? given
                 : home ? home
                        : "",
                 given ? "" : "/.cache/lorac-tokenizers", name);
        if (is_same_file(path, row))
            check_tokenizer(path, row, texts), checked++;
        else
            print_message("skipped: %s is not on this machine (tools/get_tokenizers.py)\n", name);
    }
    print_message("%zu of %zu tokenizers checked\n", checked, json_array_size(rows));
    json_decref(rows);
    json_decref(texts);
    assert_int_equal(memory.used, 0);
    if (!checked) skip();
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_samples)};
    return cmocka_run_group_tests_name("tokenizer_samples", tests, NULL, NULL);
}
