/* test_inspect.c — lorac_inspect on the golden models, on adapters written here, and on damaged files. */
#include "base/json.h"
#include "base/os.h"
#include <lorac/model.h>

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TOKENIZERS TEST_DATA "/tokenizer_models/"
#define MODELS     TEST_DATA "/models/"

static lorac_runtime *runtime;
static char folder[64];

static json_t *inspect(const char *path)
{
    char *text;
    lorac_error err = {0};
    json_error_t bad;
    if (lorac_inspect(runtime, path, &text, &err)) fail_msg("%s", err.message);
    json_t *value = json_loads(text, JSON_REJECT_DUPLICATES, &bad);
    lorac_free(text);
    assert_true(json_is_object(value));
    return value;
}

static void expect_text(const json_t *o, const char *key, const char *text)
{
    assert_non_null(json_object_get(o, key));
    assert_string_equal(json_string_value(json_object_get(o, key)), text);
}

static void expect_size(const json_t *o, const char *key, json_int_t size)
{
    assert_true(json_is_integer(json_object_get(o, key)));
    assert_int_equal(json_integer_value(json_object_get(o, key)), size);
}

static void expect_failure(const char *path, lorac_status status, const char *part)
{
    char *text;
    lorac_error err = {0};
    assert_int_equal(lorac_inspect(runtime, path, &text, &err), status);
    assert_null(text);
    if (!strstr(err.message, part)) fail_msg("\"%s\" does not contain \"%s\"", err.message, part);
}

/* ---- files of the tests' own ---------------------------------------------------------------- */

static const char *write_file(const char *name, const void *bytes, size_t size)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, size, f), size);
    fclose(f);
    return path;
}

static const char *write_text(const char *name, const char *text)
{
    return write_file(name, text, strlen(text));
}

/* A safetensors file of f32 zeros: the header's length (u64), the header, the data. */
static void write_weights(const char *name, const char *header, size_t floats)
{
    uint8_t *bytes = calloc(1, 8 + strlen(header) + 4 * floats);
    for (int i = 0; i < 8; i++) bytes[i] = (uint8_t)(strlen(header) >> 8 * i);
    memcpy(bytes + 8, header, strlen(header));
    write_file(name, bytes, 8 + strlen(header) + 4 * floats);
    free(bytes);
}

static const char *join(const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void copy(const char *from, const char *name)
{
    struct memory m = {0};
    assert_int_equal(os_copy_file(&m, from, join(name), NULL), LORAC_OK);
}

static void remove_all(void)
{
    struct memory m = {0};
    os_remove_tree(&m, folder, NULL);
    assert_int_equal(os_make_folder(folder, NULL), LORAC_OK);
}

/* ---- models --------------------------------------------------------------------------------- */

static void test_gguf(void **state)
{
    json_t *o = inspect(MODELS "plain-q4_1.gguf"), *types = json_object_get(o, "tensors");
    expect_text(o, "kind", "model");
    expect_text(o, "format", "GGUF");
    expect_text(o, "architecture", "llama");
    expect_text(o, "quantization", "Q4_1");
    expect_size(o, "layers", 2);
    expect_size(o, "hidden_size", 32);
    assert_true(json_is_true(json_object_get(o, "supported")));
    assert_true(json_is_object(json_object_get(types, "Q4_1")));
    size_t bytes = 0;
    const char *type;
    json_t *entry;
    json_object_foreach(types, type, entry) bytes += (size_t)json_integer_value(json_object_get(entry, "bytes"));
    expect_size(o, "weight_bytes", (json_int_t)bytes);
    json_decref(o);
}

static void test_folder(void **state)
{
    json_t *o = inspect(MODELS "plain");
    expect_text(o, "kind", "model");
    expect_text(o, "format", "Hugging Face");
    expect_size(o, "layers", 2);
    expect_size(o, "intermediate_size", 64);
    expect_size(o, "head_dim", 8);
    expect_size(json_object_get(json_object_get(o, "tensors"), "F32"), "count", 20);
    expect_size(json_object_get(o, "tokenizer"), "vocab_size", 288);
    assert_true(json_is_true(json_object_get(o, "supported")));
    assert_non_null(strstr(json_string_value(json_object_get(o, "chat_template")), "<|im_start|>"));
    json_decref(o);
}

static void test_sharded_folder_counts_every_shard(void **state)
{
    json_t *o = inspect(MODELS "sharded");
    expect_size(o, "parameters", 35712);
    expect_text(o, "quantization", "F16");
    json_decref(o);
}

static void test_tokenizer(void **state)
{
    static const struct {
        const char *path, *format, *type;
        size_t size, special;
    } cases[] = {
        {MODELS "plain/tokenizer.json", "tokenizer.json", "byte-level BPE", 288, 3},
        {TOKENIZERS "llama/tokenizer.model", "SentencePiece", "BPE", 560, 3},
        {TOKENIZERS "words/tokenizer.model", "SentencePiece", "SentencePiece words", 60, 3},
        {TOKENIZERS "t5", "SentencePiece", "Unigram", 260, 103},
        {TOKENIZERS "tekken", "tekken.json", "byte-level BPE", 563, 10},
        {TOKENIZERS "wordpiece", "tokenizer.json", "WordPiece", 357, 5},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_t *o = inspect(cases[i].path), *special = json_object_get(o, "special_tokens");
        expect_text(o, "kind", "tokenizer");
        expect_text(o, "format", cases[i].format);
        expect_text(o, "type", cases[i].type);
        expect_size(o, "vocab_size", cases[i].size);
        assert_int_equal(json_array_size(special), cases[i].special);
        assert_non_null(json_string_value(json_object_get(json_array_get(special, 0), "text")));
        json_decref(o);
    }
}

/* ---- models that lorac does not compute ----------------------------------------------------- */

static void test_unknown_architecture_is_described(void **state)
{
    remove_all();
    write_text("config.json", "{\"model_type\":\"mamba9\",\"num_hidden_layers\":7}");
    write_weights("model.safetensors", "{\"x\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]}}", 6);
    write_text(
        "README.md",
        "---\nlanguage:\n- en\nlicense: mit\nbase_model:\n  - some/base\n  - other/base\n---\n# Title\nlicense: no\n");
    json_t *o = inspect(folder), *bases = json_object_get(json_object_get(o, "lineage"), "base_models");
    expect_text(o, "architecture", "mamba9");
    expect_size(o, "layers", 7);
    expect_size(o, "parameters", 6);
    expect_text(o, "license", "mit");
    assert_int_equal(json_array_size(bases), 2);
    assert_string_equal(json_string_value(json_array_get(bases, 1)), "other/base");
    assert_true(json_is_false(json_object_get(o, "supported")));
    assert_non_null(strstr(json_string_value(json_object_get(o, "reason")), "mamba9"));
    json_decref(o);
}

static void test_mlx_folder_is_described(void **state)
{
    remove_all();
    write_text("config.json", "{\"model_type\":\"llamish\",\"quantization\":{\"group_size\":64,\"bits\":4}}");
    write_weights("model.safetensors", "{\"x\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 1);
    write_text("LICENSE", "\n   Apache License   \nVersion 2.0\n");
    json_t *o = inspect(folder);
    expect_text(o, "format", "MLX");
    expect_text(o, "license", "Apache License");
    expect_size(json_object_get(o, "quantization"), "bits", 4);
    assert_true(json_is_false(json_object_get(o, "supported")));
    json_decref(o);
}

/* ---- adapters ------------------------------------------------------------------------------- */

#define PAIR(layer, a, b, end)                                                                                         \
    "\"base_model.model.model.layers." layer ".mlp.up_proj.lora_A.weight\":{\"dtype\":\"F32\",\"shape\":[2,4],"        \
    "\"data_offsets\":[" a "]},\"base_model.model.model.layers." layer                                                 \
    ".mlp.up_proj.lora_B.weight\":{\"dtype\":\"F32\",\"shape\":[3,2],\"data_offsets\":[" b "]}" end

static void write_adapter(void)
{
    remove_all();
    write_text("adapter_config.json",
               "{\"peft_type\":\"LORA\",\"r\":2,\"lora_alpha\":8,\"target_modules\":[\"up_proj\"],"
               "\"base_model_name_or_path\":\"some/base\"}");
    write_weights("adapter_model.safetensors",
                  "{" PAIR("5", "0,32", "32,56", ",") PAIR("11", "56,88", "88,112", "") "}", 28);
}

static void expect_adapter(const char *path, const char *format)
{
    json_t *o = inspect(path);
    expect_text(o, "kind", "adapter");
    expect_text(o, "format", format);
    expect_text(o, "base_model", "some/base");
    expect_size(o, "rank", 2);
    expect_size(o, "modules", 2);
    expect_size(o, "parameters", 28);
    expect_size(o, "first_layer", 5);
    expect_size(o, "last_layer", 11);
    assert_true(json_real_value(json_object_get(o, "scale")) == 4);
    json_decref(o);
}

static void test_peft_adapter(void **state)
{
    write_adapter();
    expect_adapter(folder, "PEFT");
    expect_adapter(join("adapter_model.safetensors"), "PEFT");
}

static void test_mlx_adapter_with_state(void **state)
{
    remove_all();
    write_text("adapter_config.json",
               "{\"fine_tune_type\":\"lora\",\"model\":\"m\",\"lora_parameters\":{\"rank\":2,\"scale\":20.0}}");
    write_weights("adapters.safetensors",
                  "{\"model.layers.0.mlp.up_proj.lora_a\":{\"dtype\":\"F32\",\"shape\":[4,2],\"data_offsets\":[0,32]},"
                  "\"model.layers.0.mlp.up_proj.lora_b\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[32,56]}}",
                  14);
    os_make_folder(join("state"), NULL);
    write_weights("state/state.safetensors",
                  "{\"__metadata__\":{\"progress\":\"{\\\"iteration\\\": 30, \\\"iterations\\\": 90}\"},"
                  "\"weights\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}",
                  1);
    json_t *o = inspect(folder);
    expect_text(o, "format", "mlx-lm");
    expect_text(o, "base_model", "m");
    expect_size(o, "rank", 2);
    expect_size(o, "trained_iterations", 30);
    expect_size(o, "planned_iterations", 90);
    assert_true(json_real_value(json_object_get(o, "scale")) == 20);
    json_decref(o);
}

/* ---- damage --------------------------------------------------------------------------------- */

static void test_nothing_known(void **state)
{
    remove_all();
    expect_failure(folder, LORAC_NOT_FOUND, "adapter_config.json");
    expect_failure(join("nothing"), LORAC_NOT_FOUND, "nothing");
    expect_failure(write_text("notes.txt", "hello"), LORAC_FORMAT, "notes.txt");
    write_weights("x.safetensors", "{}", 0);
    expect_failure(join("x.safetensors"), LORAC_NOT_FOUND, "beside it");
}

static void test_foreign_files_are_told(void **state)
{
    static const struct {
        const char *name, *bytes;
        size_t size;
        const char *words;
    } cases[] = {
        {"m.pt", "PK\3\4aaaa", 8, "ZIP"},
        {"old.bin", "\200\2}q", 4, "pickle"},
        {"m.tflite", "\34\0\0\0TFL3", 8, "Lite"},
        {"m.onnx", "\10\7\22\7pytorch", 11, "ONNX"},
        {"page.gguf", "<!DOCTYPE html>", 15, "HTML"},
        {"m.gguf", "", 0, "empty"},
        {"m.safetensors", "version https://git-lfs.github.com/spec/v1", 42, "LFS pointer"},
    };
    remove_all();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect_failure(write_file(cases[i].name, cases[i].bytes, cases[i].size), LORAC_FORMAT, cases[i].words);
}

/* Every prefix of a GGUF's head, and single damaged bytes: a description or an error, never more. */
static void test_damaged_gguf(void **state)
{
    struct memory m = {0};
    char *bytes, *text;
    size_t size, failures = 0;
    remove_all();
    assert_int_equal(os_read(&m, MODELS "plain-q4_1.gguf", 1 << 24, &bytes, &size, NULL), LORAC_OK);
    for (size_t cut = 0; cut < 1500; cut += 7)
        expect_failure(write_file("cut.gguf", bytes, cut), LORAC_FORMAT, "cut.gguf");
    for (size_t at = 0; at < 3000; at += 11) {
        bytes[at] ^= 0x55;
        if (lorac_inspect(runtime, write_file("bent.gguf", bytes, size), &text, NULL)) failures++;
        lorac_free(text);
        bytes[at] ^= 0x55;
    }
    assert_true(failures > 0);
    mem_free(&m, bytes);
}

static void test_damaged_folders(void **state)
{
    remove_all();
    copy(MODELS "plain/model.safetensors", "model.safetensors");
    write_text("config.json", "[1]");
    expect_failure(folder, LORAC_FORMAT, "config.json");
    write_text("config.json", "{\"model_type\":\"llama\",\"num_hidden_layers\":\"two\"}");
    expect_failure(folder, LORAC_FORMAT, "num_hidden_layers");
    write_adapter();
    write_weights("adapter_model.safetensors", "{" PAIR("5", "0,32", "32,560", "") "}", 28);
    expect_failure(folder, LORAC_FORMAT, "adapter_model.safetensors");
    write_text("adapter_config.json", "{");
    expect_failure(folder, LORAC_FORMAT, "adapter_config.json");
}

static int start(void **state)
{
    lorac_runtime_options options;
    lorac_runtime_options_init(&options);
    snprintf(folder, sizeof folder, "/tmp/lorac-inspect-XXXXXX");
    return !mkdtemp(folder) || lorac_runtime_create(&options, &runtime, NULL);
}

static int finish(void **state)
{
    struct memory m = {0};
    lorac_runtime_free(runtime);
    return os_remove_tree(&m, folder, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gguf),
        cmocka_unit_test(test_folder),
        cmocka_unit_test(test_sharded_folder_counts_every_shard),
        cmocka_unit_test(test_tokenizer),
        cmocka_unit_test(test_unknown_architecture_is_described),
        cmocka_unit_test(test_mlx_folder_is_described),
        cmocka_unit_test(test_peft_adapter),
        cmocka_unit_test(test_mlx_adapter_with_state),
        cmocka_unit_test(test_nothing_known),
        cmocka_unit_test(test_foreign_files_are_told),
        cmocka_unit_test(test_damaged_gguf),
        cmocka_unit_test(test_damaged_folders),
    };
    return cmocka_run_group_tests(tests, start, finish);
}
