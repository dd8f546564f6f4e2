/* test_gguf.c — GGUF files made by the Python package gguf, hostile ones, and the default model where it is there
 * (LORAC_TEST_MODEL names it). Goldens: tools/make_file_corpus.py. */
#include "base/hash.h"
#include "base/json.h"
#include "file/gguf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "corpus.h"

#define GOLDEN TEST_DATA "/file/types.gguf"

static struct memory memory;
static lorac_error err;

static int nothing_left(void **state)
{
    return memory.used ? -1 : 0;
}

static json_t *read_expected(void)
{
    json_t *expected;
    if (json_read_file(&memory, GOLDEN ".json", 1 << 20, &expected, &err) != LORAC_OK) fail_msg("%s", err.message);
    return expected;
}

static void open_golden(struct gguf *g, bool map)
{
    if (gguf_open(&memory, GOLDEN, map, g, &err) != LORAC_OK) fail_msg("%s", err.message);
}

/* ---- what Python wrote ------------------------------------------------------------------- */

static void check_tensor(const struct gguf *g, const char *name, const json_t *expected)
{
    const struct gguf_tensor *t = gguf_find_tensor(g, name);
    const json_t *shape = json_object_get(expected, "shape");
    uint8_t digest[HASH_BYTES];
    char text[HASH_TEXT];
    assert_non_null(t);
    assert_int_equal(t->type, json_integer_value(json_object_get(expected, "type")));
    assert_int_equal(t->bytes, json_integer_value(json_object_get(expected, "bytes")));
    assert_int_equal(t->dims, json_array_size(shape));
    for (size_t i = 0; i < t->dims; i++) assert_int_equal(t->shape[i], json_integer_value(json_array_get(shape, i)));
    assert_int_equal(hash_bytes(t->data, t->bytes, digest, NULL), LORAC_OK);
    hash_text(digest, text);
    assert_string_equal(text, json_string_value(json_object_get(expected, "sha256")));
}

static void check_tensors(const char *path, bool map, size_t files)
{
    json_t *expected = read_expected(), *tensors = json_object_get(expected, "tensors"), *entry;
    const char *name;
    struct gguf g;
    if (gguf_open(&memory, path, map, &g, &err) != LORAC_OK) fail_msg("%s", err.message);
    assert_int_equal(g.file_count, files);
    for (size_t i = 0; i < files; i++) assert_int_equal(g.files[i].mapped, map);
    assert_int_equal(g.tensor_count, json_object_size(tensors));
    json_object_foreach(tensors, name, entry) check_tensor(&g, name, entry);
    for (size_t i = 0; i < g.tensor_count; i++) {
        const struct gguf_tensor *t = &g.tensors[i];
        const struct os_file *file = &g.files[t->file];
        assert_true(t->data >= file->data && t->data + t->bytes <= file->data + file->size);
    }
    assert_null(gguf_find_tensor(&g, "none"));
    gguf_close(&g);
    json_decref(expected);
}

static void test_tensors(void **state)
{
    check_tensors(GOLDEN, false, 1);
    check_tensors(GOLDEN, true, 1);
}

static void check_scalar(const struct gguf *g, const char *key, const json_t *expected)
{
    const struct gguf_value *v = gguf_find(g, key);
    assert_non_null(v);
    if (json_is_string(expected)) {
        assert_int_equal(v->as.string.length, json_string_length(expected));
        assert_memory_equal(v->as.string.data, json_string_value(expected), v->as.string.length);
    } else if (json_is_real(expected)) {
        assert_true(v->as.real == json_real_value(expected));
    } else {
        long long wanted = json_is_boolean(expected) ? json_is_true(expected) : json_integer_value(expected);
        if (v->as.integer != wanted) fail_msg("%s is %lld, not %lld", key, (long long)v->as.integer, wanted);
    }
}

static void check_array(const struct gguf *g, const char *key, const json_t *expected)
{
    const struct gguf_value *v = gguf_find(g, key);
    struct gguf_string item;
    size_t i, at = 0;
    json_t *element;
    assert_non_null(v);
    assert_int_equal(v->type, GGUF_ARRAY);
    assert_int_equal(v->as.array.count, json_array_size(expected));
    json_array_foreach(expected, i, element)
    {
        if (json_is_string(element)) {
            assert_true(gguf_next_string(v, &at, &item));
            assert_int_equal(item.length, json_string_length(element));
            assert_memory_equal(item.data, json_string_value(element), item.length);
        } else {
            double wanted = json_is_boolean(element) ? json_is_true(element) : json_number_value(element);
            if (gguf_number(v, i) != wanted) fail_msg("%s[%zu] is %g, not %g", key, i, gguf_number(v, i), wanted);
        }
    }
    assert_false(gguf_next_string(v, &at, &item));
    assert_true(gguf_number(v, v->as.array.count) == 0);
}

static void test_metadata(void **state)
{
    json_t *expected = read_expected(), *value;
    const char *key;
    struct gguf g;
    open_golden(&g, true);
    json_object_foreach(json_object_get(expected, "scalars"), key, value) check_scalar(&g, key, value);
    json_object_foreach(json_object_get(expected, "arrays"), key, value) check_array(&g, key, value);
    assert_null(gguf_find(&g, "t.u"));
    assert_null(gguf_find(&g, "t.u88"));
    gguf_close(&g);
    json_decref(expected);
}

static void test_typed_access(void **state)
{
    struct gguf g;
    size_t size;
    double real;
    bool flag;
    char *text;
    open_golden(&g, true);
    assert_int_equal(gguf_get_size(&g, "t.u32", 1, &size, &err), LORAC_OK);
    assert_int_equal(size, 4000000000u);
    assert_int_equal(gguf_get_size(&g, "none", 7, &size, &err), LORAC_OK);
    assert_int_equal(size, 7);
    const char *no_size[] = {"t.i8", "t.f32", "t.bool", "t.string", "a.i32"};
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(gguf_get_size(&g, no_size[i], 1, &size, &err), LORAC_FORMAT);
        assert_non_null(strstr(err.message, no_size[i]));
        assert_non_null(strstr(err.message, "types.gguf"));
    }
    assert_int_equal(gguf_get_float(&g, "t.f64", 0, &real, &err), LORAC_OK);
    assert_true(real == 0.1);
    assert_int_equal(gguf_get_float(&g, "t.i8", 0, &real, &err), LORAC_OK);
    assert_true(real == -100);
    assert_int_equal(gguf_get_float(&g, "t.string", 0, &real, &err), LORAC_FORMAT);
    assert_int_equal(gguf_get_bool(&g, "t.bool", false, &flag, &err), LORAC_OK);
    assert_true(flag);
    assert_int_equal(gguf_get_bool(&g, "t.u8", false, &flag, &err), LORAC_FORMAT);
    assert_int_equal(gguf_get_text(&g, "t.string", &text, &err), LORAC_OK);
    assert_string_equal(text, "h\xC3\xA9llo");
    mem_free(&memory, text);
    assert_int_equal(gguf_get_text(&g, "none", &text, &err), LORAC_OK);
    assert_null(text);
    assert_int_equal(gguf_get_text(&g, "t.u8", &text, &err), LORAC_FORMAT);
    assert_string_equal(strrchr(err.message, ':'), ": \"t.u8\" should be a string and is an 8-bit integer");
    gguf_close(&g);
}

static void test_type_sizes(void **state)
{
    size_t elements, bytes, known = 0;
    const char *name;
    for (uint32_t type = 0; type < 100; type++) known += gguf_type_size(type, &elements, &bytes, &name);
    assert_int_equal(known, 35);
    assert_true(gguf_type_size(14, &elements, &bytes, &name));
    assert_string_equal(name, "Q6_K");
    assert_int_equal(elements, 256);
    assert_int_equal(bytes, 128 + 64 + 16 + 2);
    assert_false(gguf_type_size(UINT32_MAX, &elements, &bytes, &name));
}

/* ---- what nobody should write ------------------------------------------------------------ */

static const struct reason reasons[] = {
    {"other_magic", "does not begin"},
    {"version_1", "version 1"},
    {"big_endian", "big-endian"},
    {"counts_2_63", "claims 9223372036854775808 tensors"},
    {"counts_max", "claims"},
    {"key_2_63", "ends inside a metadata key"},
    {"key_empty", "is empty"},
    {"key_no_utf8", "not UTF-8"},
    {"key_with_nul", "not UTF-8"},
    {"key_twice", "\"a\" stands there twice"},
    {"value_type_99", "unknown type 99"},
    {"bool_2", "bool of value 2"},
    {"u64_max", "over 2^63"},
    {"string_truncated", "ends inside a metadata string"},
    {"array_2_61", "more than the file holds"},
    {"array_max", "more than the file holds"},
    {"array_of_strings_max", "more than the file holds"},
    {"array_string_2_63", "ends inside an array of strings"},
    {"array_of_arrays", "array of arrays"},
    {"array_type_99", "unknown type 99"},
    {"alignment_0", "power of two"},
    {"alignment_3", "power of two"},
    {"alignment_text", "should be an integer"},
    {"alignment_2_31", "power of two"},
    {"tensor_twice", "\"t\" stands there twice"},
    {"tensors_overlap", "\"a\" and \"b\" overlap"},
    {"tensor_behind_end", "ends behind the file"},
    {"tensor_offset_max", "ends behind the file"},
    {"tensor_offset_odd", "not aligned to 32"},
    {"tensor_dims_0", "0 dimensions"},
    {"tensor_dims_5", "5 dimensions"},
    {"tensor_dims_max", "dimensions"},
    {"tensor_shape_0", "impossible shape"},
    {"tensor_shape_overflow", "impossible shape"},
    {"tensor_shape_wraps_to_32", "impossible shape"},
    {"tensor_row_not_whole", "no multiple of the 32 of Q4_0"},
    {"tensor_type_4", "type 4"},
    {"tensor_type_max", "type 4294967295"},
    {"tensor_name_no_utf8", "not UTF-8"},
    {"table_truncated", "the file ends inside"},
};

static lorac_status open_bytes(struct memory *m, const uint8_t *bytes, size_t size, lorac_error *e)
{
    struct gguf g;
    lorac_status status = gguf_open_bytes(m, bytes, size, &g, e);
    if (status == LORAC_OK) gguf_close(&g);
    return status;
}

static void test_hostile_files(void **state)
{
    size_t count = sizeof reasons / sizeof *reasons;
    assert_true(check_corpus(TEST_DATA "/../fuzz/corpus/gguf", open_bytes, reasons, count) > count);
}

static void test_truncated_everywhere(void **state)
{
    char *bytes;
    size_t size;
    assert_int_equal(os_read(&memory, GOLDEN, 1 << 20, &bytes, &size, &err), LORAC_OK);
    size_t last = 0; /* the padding behind the last tensor may be cut off */
    for (size_t cut = 0; cut < size; cut++)
        if (open_bytes(&memory, (const uint8_t *)bytes, cut, &err) != LORAC_OK) last = cut;
    assert_in_range(last, size - 32, size - 1);
    mem_free(&memory, bytes);
}

static void test_no_memory(void **state)
{
    struct gguf g;
    struct memory small = {.limit = 256};
    for (; gguf_open(&small, GOLDEN, true, &g, &err) != LORAC_OK; small.limit += 64) {
        assert_int_equal(err.status, LORAC_OUT_OF_MEMORY);
        assert_int_equal(small.used, 0);
        assert_true(small.limit < 1 << 20);
    }
    gguf_close(&g);
    assert_int_equal(small.used, 0);
}

static void test_missing_and_foreign_files(void **state)
{
    struct gguf g;
    assert_int_equal(gguf_open(&memory, TEST_DATA "/none.gguf", true, &g, &err), LORAC_NOT_FOUND);
    assert_int_equal(gguf_open(&memory, GOLDEN ".json", true, &g, &err), LORAC_FORMAT);
    assert_non_null(strstr(err.message, "types.gguf.json: is no GGUF file"));
    assert_true(gguf_is(GOLDEN));
    assert_false(gguf_is(GOLDEN ".json"));
    assert_false(gguf_is(TEST_DATA));
}

/* ---- models in several files ------------------------------------------------------------- */

#define PARTS TEST_DATA "/file/split"
enum { SPLIT = 3, STEM = 256, PATH = STEM + 64 };

static void part_path(const char *stem, size_t part, char path[PATH])
{
    snprintf(path, PATH, "%s-%05zu-of-%05d.gguf", stem, part, SPLIT);
}

static void test_parts(void **state)
{
    char path[PATH];
    for (size_t part = 1; part <= SPLIT; part++) {
        struct gguf g;
        char *text;
        part_path(PARTS, part, path);
        check_tensors(path, part & 1, SPLIT);
        assert_int_equal(gguf_open(&memory, path, true, &g, &err), LORAC_OK);
        assert_int_equal(gguf_get_text(&g, "t.string", &text, &err), LORAC_OK); /* the first part's */
        assert_non_null(text);
        mem_free(&memory, text);
        gguf_close(&g);
    }
}

static char *in_folder(const char *name, char stem[STEM])
{
    const char *base = getenv("TMPDIR");
    snprintf(stem, STEM, "%s/lorac-parts-%ld%s%s", base ? base : "/tmp", (long)getpid(), *name ? "/" : "", name);
    return stem;
}

/* `key`'s number, two bytes in the file, gets `value`. */
static void change(char *bytes, size_t size, const char *key, uint8_t value)
{
    size_t length = strlen(key);
    for (size_t i = 0; i + length + 6 <= size; i++)
        if (memcmp(bytes + i, key, length) == 0) bytes[i + length + 4] = (char)value;
}

/* Copies the parts beside one another; part i + 1 is made from part from[i], 0: left out; `key` of the last changed. */
static void copy_parts(const size_t from[SPLIT], const char *key, uint8_t value)
{
    char path[PATH], stem[STEM], *bytes;
    size_t size;
    os_remove_tree(&memory, in_folder("", path), NULL);
    assert_int_equal(os_make_folder(path, &err), LORAC_OK);
    for (size_t i = 0; i < SPLIT; i++) {
        if (!from[i]) continue;
        part_path(PARTS, from[i], path);
        assert_int_equal(os_read(&memory, path, 1 << 20, &bytes, &size, &err), LORAC_OK);
        if (key && i + 1 == SPLIT) change(bytes, size, key, value);
        part_path(in_folder("m", stem), i + 1, path);
        assert_int_equal(os_write_whole(&memory, path, bytes, size, &err), LORAC_OK);
        mem_free(&memory, bytes);
    }
}

static void check_refused(size_t part, lorac_status status, const char *why)
{
    struct gguf g;
    char path[PATH], stem[STEM];
    part_path(in_folder("m", stem), part, path);
    assert_int_equal(gguf_open(&memory, path, true, &g, &err), status);
    if (!strstr(err.message, why)) fail_msg("%s", err.message);
    assert_int_equal(memory.used, 0);
}

static void test_wrong_parts(void **state)
{
    static const struct {
        size_t from[SPLIT];
        const char *key;
        uint8_t value;
        size_t part;
        lorac_status status;
        const char *why;
    } cases[] = {
        {{1, 2, 0}, NULL, 0, 1, LORAC_NOT_FOUND, "m-00003-of-00003.gguf: is missing: the model needs all of its 3"},
        {{0, 2, 3}, NULL, 0, 3, LORAC_NOT_FOUND, "m-00001-of-00003.gguf: is missing"},
        {{1, 3, 2}, NULL, 0, 1, LORAC_FORMAT, "is part 3 of 3 with 7 tensors in all, expected part 2 of 3 with 7"},
        {{1, 3, 2}, NULL, 0, 3, LORAC_FORMAT, "should end in \"-00002-of-00003.gguf\"; was it renamed?"},
        {{1, 2, 3}, "split.count", 4, 1, LORAC_FORMAT, "is part 3 of 4"},
        {{1, 2, 3}, "split.count", 2, 1, LORAC_FORMAT, "claims to be part 3 of 2"},
        {{1, 2, 3}, "split.no", 3, 3, LORAC_FORMAT, "claims to be part 4 of 3"},
        {{1, 2, 3}, "split.tensors.count", 8, 2, LORAC_FORMAT, "parts of two models?"},
        {{1, 2, 2}, "split.no", 2, 1, LORAC_FORMAT, "and the other parts hold 9 tensors, expected 7"},
    };
    char path[PATH];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        copy_parts(cases[i].from, cases[i].key, cases[i].value);
        check_refused(cases[i].part, cases[i].status, cases[i].why);
    }
    os_remove_tree(&memory, in_folder("", path), NULL);
}

/* A tensor's name may stand in one part only. */
static void test_tensor_in_two_parts(void **state)
{
    char path[PATH], stem[STEM], *bytes;
    size_t size, all[SPLIT] = {1, 2, 3};
    copy_parts(all, NULL, 0);
    part_path(in_folder("m", stem), 3, path);
    assert_int_equal(os_read(&memory, path, 1 << 20, &bytes, &size, &err), LORAC_OK);
    for (size_t i = 0; i + 4 <= size; i++)
        if (memcmp(bytes + i, "four", 4) == 0) memcpy(bytes + i, "q4_0", 4);
    assert_int_equal(os_write_whole(&memory, path, bytes, size, &err), LORAC_OK);
    mem_free(&memory, bytes);
    check_refused(1, LORAC_FORMAT, "tensor \"q4_0\" stands there twice");
    os_remove_tree(&memory, in_folder("", path), NULL);
}

static void test_parts_without_memory(void **state)
{
    struct gguf g;
    struct memory small = {.limit = 256};
    char path[PATH];
    for (part_path(PARTS, 2, path); gguf_open(&small, path, true, &g, &err) != LORAC_OK; small.limit += 64) {
        assert_int_equal(err.status, LORAC_OUT_OF_MEMORY);
        assert_int_equal(small.used, 0);
        assert_true(small.limit < 1 << 20);
    }
    gguf_close(&g);
    assert_int_equal(small.used, 0);
}

/* ---- the default model ------------------------------------------------------------------- */

static void test_default_model(void **state)
{
    const char *path = getenv("LORAC_TEST_MODEL");
    struct gguf g;
    char *architecture;
    if (!path) skip();
    if (gguf_open(&memory, path, true, &g, &err) != LORAC_OK) fail_msg("%s", err.message);
    assert_int_equal(gguf_get_text(&g, "general.architecture", &architecture, &err), LORAC_OK);
    const struct gguf_value *tokens = gguf_find(&g, "tokenizer.ggml.tokens");
    assert_non_null(architecture);
    assert_non_null(tokens);
    struct gguf_string item;
    size_t at = 0, count = 0;
    while (gguf_next_string(tokens, &at, &item)) count++;
    assert_int_equal(count, tokens->as.array.count);
    assert_non_null(gguf_find_tensor(&g, "token_embd.weight"));
    printf("%s: %zu tensors, %zu metadata values, %zu tokens; tables take %zu bytes\n", architecture, g.tensor_count,
           g.value_count, count, (size_t)memory.used);
    mem_free(&memory, architecture);
    gguf_close(&g);
}

#define balanced(test) cmocka_unit_test_teardown(test, nothing_left)

int main(void)
{
    const struct CMUnitTest tests[] = {
        balanced(test_tensors),
        balanced(test_metadata),
        balanced(test_typed_access),
        balanced(test_type_sizes),
        balanced(test_hostile_files),
        balanced(test_truncated_everywhere),
        balanced(test_no_memory),
        balanced(test_missing_and_foreign_files),
        balanced(test_parts),
        balanced(test_wrong_parts),
        balanced(test_tensor_in_two_parts),
        balanced(test_parts_without_memory),
        balanced(test_default_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
