/* test_safetensors.c — files made by the Python package safetensors, hostile ones, the writer, model folders.
 * Goldens: tools/make_file_corpus.py. With LORAC_TEST_KEEP=FILE the written file is kept there, for
 * tools/judge_safetensors.py to load. */
#include "base/hash.h"
#include "base/json.h"
#include "file/safetensors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "corpus.h"

#define GOLDEN TEST_DATA "/file/types.safetensors"
#define FOLDER "test_safetensors.tmp"

static struct memory memory;
static lorac_error err;

static int begin(void **state)
{
    return os_make_folder(FOLDER, &err) == LORAC_OK ? 0 : -1;
}

static int end(void **state)
{
    size_t left = memory.used;
    return left || os_remove_tree(&memory, FOLDER, &err) != LORAC_OK ? -1 : 0;
}

/* ---- what Python wrote ------------------------------------------------------------------- */

static void check_tensor(const struct safetensors *s, const char *name, const json_t *expected)
{
    const struct st_tensor *t = safetensors_find(s, name);
    const json_t *shape = json_object_get(expected, "shape");
    uint8_t digest[HASH_BYTES];
    char text[HASH_TEXT];
    assert_non_null(t);
    const char *dtype = json_string_value(json_object_get(expected, "dtype"));
    assert_string_equal(st_dtype_name(t->dtype), dtype);
    assert_int_equal(t->dims, json_array_size(shape));
    for (size_t i = 0; i < t->dims; i++) assert_int_equal(t->shape[i], json_integer_value(json_array_get(shape, i)));
    assert_int_equal(hash_bytes(t->data, t->bytes, digest, NULL), LORAC_OK);
    hash_text(digest, text);
    assert_string_equal(text, json_string_value(json_object_get(expected, "sha256")));
}

static void test_golden(void **state)
{
    json_t *expected, *entry;
    const char *name;
    assert_int_equal(json_read_file(&memory, GOLDEN ".json", 1 << 20, &expected, &err), LORAC_OK);
    for (int map = 0; map < 2; map++) {
        struct safetensors s;
        if (safetensors_open(&memory, GOLDEN, map, &s, &err) != LORAC_OK) fail_msg("%s", err.message);
        assert_int_equal(s.count, json_object_size(json_object_get(expected, "tensors")));
        json_object_foreach(json_object_get(expected, "tensors"), name, entry) check_tensor(&s, name, entry);
        json_object_foreach(json_object_get(expected, "metadata"), name, entry)
            assert_string_equal(safetensors_metadata(&s, name), json_string_value(entry));
        assert_null(safetensors_find(&s, "absent"));
        assert_null(safetensors_metadata(&s, "none"));
        safetensors_close(&s);
    }
    json_decref(expected);
}

/* ---- what nobody should write ------------------------------------------------------------ */

static const struct reason reasons[] = {
    {"seven_bytes", "only 7 bytes"},
    {"length_max", "claims a header of 18446744073709551615"},
    {"length_over_cap", "claims a header"},
    {"length_0", "does not begin with {"},
    {"no_json", "no valid JSON"},
    {"no_object", "does not begin with {"},
    {"deep", "512 levels"},
    {"entry_no_object", "no JSON object"},
    {"dtype_missing", "dtype \"\""},
    {"dtype_unknown", "dtype \"F128\""},
    {"dtype_number", "should be a string"},
    {"shape_missing", "no shape"},
    {"shape_negative", "impossible shape"},
    {"shape_real", "impossible shape"},
    {"shape_overflow", "impossible shape"},
    {"shape_wraps_to_4", "impossible shape"},
    {"shape_2_64", "impossible shape"},
    {"nine_dimensions", "at most 8 dimensions"},
    {"shape_against_range", "has 4 bytes, its shape means 8"},
    {"range_missing", "data_offsets"},
    {"range_backward", "data_offsets"},
    {"range_of_three", "data_offsets"},
    {"range_behind_end", "copied whole"},
    {"range_max", "copied whole"},
    {"range_wide", "data_offsets"},
    {"overlap", "overlaps"},
    {"same_bytes", "overlaps"},
    {"hole_before", "a hole"},
    {"hole_between", "a hole"},
    {"bytes_behind", "1 bytes behind"},
    {"name_twice", "duplicate"},
    {"metadata_no_object", "__metadata__"},
    {"metadata_number", "should be a string"},
    {"metadata_null", "is null"},
};

static lorac_status open_bytes(struct memory *m, const uint8_t *bytes, size_t size, lorac_error *e)
{
    struct safetensors s;
    lorac_status status = safetensors_open_bytes(m, bytes, size, &s, e);
    if (status == LORAC_OK) safetensors_close(&s);
    return status;
}

static void test_hostile_files(void **state)
{
    size_t count = sizeof reasons / sizeof *reasons;
    assert_true(check_corpus(TEST_DATA "/../fuzz/corpus/safetensors", open_bytes, reasons, count) > count);
}

static void test_truncated_everywhere(void **state)
{
    char *bytes;
    size_t size;
    assert_int_equal(os_read(&memory, GOLDEN, 1 << 20, &bytes, &size, &err), LORAC_OK);
    for (size_t cut = 0; cut < size; cut++)
        if (open_bytes(&memory, (const uint8_t *)bytes, cut, &err) == LORAC_OK) fail_msg("%zu bytes are enough", cut);
    mem_free(&memory, bytes);
}

static void test_no_memory(void **state)
{
    struct safetensors s;
    struct memory small = {.limit = 256};
    for (; safetensors_open(&small, GOLDEN, true, &s, &err) != LORAC_OK; small.limit += 64) {
        assert_int_equal(err.status, LORAC_OUT_OF_MEMORY);
        assert_int_equal(small.used, 0);
        assert_true(small.limit < 1 << 20);
    }
    safetensors_close(&s);
    assert_int_equal(small.used, 0);
}

/* ---- the writer -------------------------------------------------------------------------- */

static const float floats[6] = {0, 0.5f, 1, 1.5f, 2, 2.5f};
static const uint8_t small_bytes[3] = {1, 2, 3};
static const uint16_t halves[2] = {0x3C00, 0xC000}; /* f16: 1, -2; bf16 below: 0x3F80 is 1 */
static const uint16_t brains[1] = {0x3F80};

static struct st_tensor describe(const char *name, enum st_dtype dtype, size_t dims, size_t rows, size_t columns,
                                 const void *data)
{
    struct st_tensor t = {.name = (char *)name, .dtype = dtype, .dims = dims, .shape = {rows, columns}, .data = data};
    t.bytes = st_dtype_bytes(dtype) * (dims > 0 ? rows : 1) * (dims > 1 ? columns : 1);
    return t;
}

static size_t describe_all(struct st_tensor *tensors)
{
    size_t n = 0;
    tensors[n++] = describe("u8", ST_U8, 1, 3, 0, small_bytes);
    tensors[n++] = describe("b.lora_A", ST_F32, 2, 2, 3, floats);
    tensors[n++] = describe("a.\"quoted\" \xC3\xA9", ST_F32, 1, 4, 0, floats);
    tensors[n++] = describe("f16", ST_F16, 1, 2, 0, halves);
    tensors[n++] = describe("bf16", ST_BF16, 1, 1, 0, brains);
    tensors[n++] = describe("scalar", ST_F32, 0, 0, 0, floats + 3);
    tensors[n++] = describe("none", ST_F32, 2, 0, 5, floats);
    return n;
}

static const char *const metadata[] = {"format", "pt", "about", "line\n\xC3\xA9", NULL};

static void test_written_files_read_back(void **state)
{
    struct st_tensor tensors[8];
    size_t count = describe_all(tensors);
    struct safetensors s;
    const char *kept = getenv("LORAC_TEST_KEEP"), *path = kept ? kept : FOLDER "/f.safetensors";
    assert_int_equal(safetensors_write(&memory, path, tensors, count, metadata, 2, &err), LORAC_OK);
    if (safetensors_open(&memory, path, true, &s, &err) != LORAC_OK) fail_msg("%s", err.message);
    assert_int_equal(s.count, count);
    assert_string_equal(safetensors_metadata(&s, "about"), "line\n\xC3\xA9");
    for (size_t i = 0; i < count; i++) {
        const struct st_tensor *t = safetensors_find(&s, tensors[i].name);
        assert_non_null(t);
        assert_int_equal(t->dtype, tensors[i].dtype);
        assert_int_equal(t->dims, tensors[i].dims);
        assert_int_equal(t->bytes, tensors[i].bytes);
        if (t->bytes) assert_memory_equal(t->data, tensors[i].data, t->bytes);
        assert_true((uintptr_t)t->data % st_dtype_bytes(t->dtype) == 0);
        for (size_t k = 0; k < t->dims; k++) assert_int_equal(t->shape[k], tensors[i].shape[k]);
    }
    safetensors_close(&s);
}

static void test_order_of_input_is_no_matter(void **state)
{
    struct st_tensor tensors[8], reversed[8];
    size_t count = describe_all(tensors), sizes[2];
    const char *swapped[] = {"about", "line\n\xC3\xA9", "format", "pt"};
    char *bytes[2];
    for (size_t i = 0; i < count; i++) reversed[i] = tensors[count - 1 - i];
    assert_int_equal(safetensors_write(&memory, FOLDER "/1", tensors, count, metadata, 2, &err), LORAC_OK);
    assert_int_equal(safetensors_write(&memory, FOLDER "/2", reversed, count, swapped, 2, &err), LORAC_OK);
    assert_int_equal(os_read(&memory, FOLDER "/1", 1 << 20, &bytes[0], &sizes[0], &err), LORAC_OK);
    assert_int_equal(os_read(&memory, FOLDER "/2", 1 << 20, &bytes[1], &sizes[1], &err), LORAC_OK);
    assert_int_equal(sizes[0], sizes[1]);
    assert_memory_equal(bytes[0], bytes[1], sizes[0]);
    mem_free(&memory, bytes[0]);
    mem_free(&memory, bytes[1]);
    assert_int_equal(safetensors_write(&memory, FOLDER "/empty", NULL, 0, NULL, 0, &err), LORAC_OK);
    struct safetensors s;
    assert_int_equal(safetensors_open(&memory, FOLDER "/empty", true, &s, &err), LORAC_OK);
    assert_int_equal(s.count, 0);
    safetensors_close(&s);
}

static void assert_not_written(const struct st_tensor *tensors, size_t count, const char *const *pairs,
                               size_t pair_count)
{
    lorac_status status = safetensors_write(&memory, FOLDER "/f", tensors, count, pairs, pair_count, &err);
    assert_int_equal(status, LORAC_INVALID_ARGUMENT);
    assert_false(os_is_file(FOLDER "/f"));
}

static void test_writer_refuses(void **state)
{
    const char *twice[] = {"k", "1", "k", "2"}, *no_utf8[] = {"k", "\xFF"};
    struct st_tensor two[2] = {describe("a", ST_F32, 1, 2, 0, floats), describe("a", ST_F32, 1, 2, 0, floats)};
    assert_not_written(two, 2, NULL, 0);
    assert_not_written(two, 1, twice, 2);
    assert_not_written(two, 1, no_utf8, 1);
    two[0].bytes++;
    assert_not_written(two, 1, NULL, 0);
    two[1].name = (char *)"\xFF";
    assert_not_written(two + 1, 1, NULL, 0);
    two[1].name = (char *)"__metadata__";
    assert_not_written(two + 1, 1, NULL, 0);
    two[1] = describe("a", ST_F32, 2, SIZE_MAX / 2, 8, floats);
    assert_not_written(two + 1, 1, NULL, 0);
    two[1] = describe("a", ST_F32, 1, 2, 0, floats);
    assert_int_equal(safetensors_write(&memory, FOLDER "/no/f", two + 1, 1, NULL, 0, &err), LORAC_NOT_FOUND);
}

/* ---- folders ----------------------------------------------------------------------------- */

static void write_one(const char *file, const char *name, float *value)
{
    struct st_tensor t = describe(name, ST_F32, 1, 1, 0, value);
    assert_int_equal(safetensors_write(&memory, file, &t, 1, NULL, 0, &err), LORAC_OK);
}

static void write_index(const char *text)
{
    const char *path = FOLDER "/model.safetensors.index.json";
    assert_int_equal(os_write_whole(&memory, path, text, strlen(text), &err), LORAC_OK);
}

static void write_shards(void)
{
    float one = 1, two = 2;
    write_one(FOLDER "/s1.safetensors", "a", &one);
    write_one(FOLDER "/s2.safetensors", "b", &two);
}

static void test_folder_of_shards(void **state)
{
    struct st_folder f;
    float value;
    write_shards();
    write_index("{\"metadata\": {}, \"weight_map\": {\"b\": \"s2.safetensors\", \"a\": \"s1.safetensors\"}}");
    if (st_folder_open(&memory, FOLDER, true, &f, &err) != LORAC_OK) fail_msg("%s", err.message);
    assert_int_equal(f.shard_count, 2);
    memcpy(&value, st_folder_find(&f, "b")->data, sizeof value);
    assert_true(value == 2);
    assert_null(st_folder_find(&f, "c"));
    st_folder_close(&f);

    float three = 3;
    write_one(FOLDER "/model.safetensors", "a", &three); /* goes before the index, as in transformers */
    assert_int_equal(st_folder_open(&memory, FOLDER, true, &f, &err), LORAC_OK);
    memcpy(&value, st_folder_find(&f, "a")->data, sizeof value);
    assert_true(value == 3);
    st_folder_close(&f);
}

static void test_folder_refuses(void **state)
{
    static const struct {
        const char *index, *part;
        lorac_status status;
    } cases[] = {
        {"{\"weight_map\": {\"a\": \"s1.safetensors\", \"b\": \"s3.safetensors\"}}", "s3.safetensors", LORAC_NOT_FOUND},
        {"{\"weight_map\": {\"a\": \"s2.safetensors\", \"b\": \"s1.safetensors\"}}", "not in s2", LORAC_FORMAT},
        {"{\"weight_map\": {\"a\": \"s1.safetensors\", \"c\": \"s2.safetensors\"}}", "\"c\" is not in", LORAC_FORMAT},
        {"{\"weight_map\": {\"a\": \"../s1.safetensors\"}}", "file of the folder", LORAC_FORMAT},
        {"{\"weight_map\": {\"a\": \"/etc/passwd\"}}", "file of the folder", LORAC_FORMAT},
        {"{\"weight_map\": {\"a\": \"..\"}}", "file of the folder", LORAC_FORMAT},
        {"{\"weight_map\": {\"a\": \"\"}}", "file of the folder", LORAC_FORMAT},
        {"{\"weight_map\": {\"a\": \"s1.safetensors\\u0000x\"}}", "file of the folder", LORAC_FORMAT},
        {"{\"weight_map\": {\"a\": 1}}", "file of the folder", LORAC_FORMAT},
        {"{\"weight_map\": {}}", "weight_map", LORAC_FORMAT},
        {"{\"weight_map\": []}", "weight_map", LORAC_FORMAT},
        {"[]", "weight_map", LORAC_FORMAT},
        {"{", "no valid JSON", LORAC_FORMAT},
    };
    struct st_folder f;
    assert_int_equal(st_folder_open(&memory, FOLDER, true, &f, &err), LORAC_NOT_FOUND);
    assert_non_null(strstr(err.message, "holds neither"));
    assert_int_equal(st_folder_open(&memory, FOLDER "/none", true, &f, &err), LORAC_NOT_FOUND);
    write_shards();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_index(cases[i].index);
        assert_int_equal(st_folder_open(&memory, FOLDER, true, &f, &err), cases[i].status);
        if (!strstr(err.message, cases[i].part)) fail_msg("%s: %s", cases[i].index, err.message);
        assert_int_equal(memory.used, 0);
    }
}

/* A shard that is a link: within the folder, out of it, and as Hugging Face's cache has it. */
static void test_folder_links(void **state)
{
    const char index[] = "{\"weight_map\": {\"a\": \"s1.safetensors\"}}";
    float one = 1;
    struct st_folder f;
    write_one(FOLDER "/outside.safetensors", "a", &one);
    assert_int_equal(os_make_folder(FOLDER "/snapshots/1", &err), LORAC_OK);
    assert_int_equal(os_make_folder(FOLDER "/blobs", &err), LORAC_OK);
    write_one(FOLDER "/blobs/b", "a", &one);
    write_one(FOLDER "/snapshots/1/own.safetensors", "a", &one);
    assert_int_equal(
        os_write_whole(&memory, FOLDER "/snapshots/1/model.safetensors.index.json", index, strlen(index), &err),
        LORAC_OK);
    static const struct {
        const char *target;
        lorac_status status;
    } cases[] = {
        {"own.safetensors", LORAC_OK}, {"../../blobs/b", LORAC_OK}, {"../../outside.safetensors", LORAC_FORMAT}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(symlink(cases[i].target, FOLDER "/snapshots/1/s1.safetensors"), 0);
        assert_int_equal(st_folder_open(&memory, FOLDER "/snapshots/1", true, &f, &err), cases[i].status);
        if (cases[i].status == LORAC_OK)
            st_folder_close(&f);
        else
            assert_non_null(strstr(err.message, "s1.safetensors: is a link out of the folder"));
        assert_int_equal(unlink(FOLDER "/snapshots/1/s1.safetensors"), 0);
        assert_int_equal(memory.used, 0);
    }
}

static void test_tensor_in_two_shards(void **state)
{
    float one = 1, two = 2;
    struct st_tensor both[2] = {describe("a", ST_F32, 1, 1, 0, &one), describe("b", ST_F32, 1, 1, 0, &two)};
    struct st_folder f;
    write_one(FOLDER "/s1.safetensors", "a", &one);
    assert_int_equal(safetensors_write(&memory, FOLDER "/s2.safetensors", both, 2, NULL, 0, &err), LORAC_OK);
    write_index("{\"weight_map\": {\"a\": \"s1.safetensors\", \"b\": \"s2.safetensors\"}}");
    assert_int_equal(st_folder_open(&memory, FOLDER, true, &f, &err), LORAC_FORMAT);
    assert_non_null(strstr(err.message, "not only in s1"));
}

#define in_folder(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        in_folder(test_golden),
        in_folder(test_hostile_files),
        in_folder(test_truncated_everywhere),
        in_folder(test_no_memory),
        in_folder(test_written_files_read_back),
        in_folder(test_order_of_input_is_no_matter),
        in_folder(test_writer_refuses),
        in_folder(test_folder_of_shards),
        in_folder(test_folder_refuses),
        in_folder(test_folder_links),
        in_folder(test_tensor_in_two_shards),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
