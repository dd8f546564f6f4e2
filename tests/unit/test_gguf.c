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

static void test_tensors(void **state)
{
    json_t *expected = read_expected(), *tensors = json_object_get(expected, "tensors"), *entry;
    const char *name;
    for (int map = 0; map < 2; map++) {
        struct gguf g;
        open_golden(&g, map);
        assert_int_equal(g.file.mapped, map);
        assert_int_equal(g.tensor_count, json_object_size(tensors));
        json_object_foreach(tensors, name, entry) check_tensor(&g, name, entry);
        assert_null(gguf_find_tensor(&g, "none"));
        gguf_close(&g);
    }
    json_decref(expected);
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
    assert_int_equal(known, 33);
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
        balanced(test_tensors),       balanced(test_metadata),
        balanced(test_typed_access),  balanced(test_type_sizes),
        balanced(test_hostile_files), balanced(test_truncated_everywhere),
        balanced(test_no_memory),     balanced(test_missing_and_foreign_files),
        balanced(test_default_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
