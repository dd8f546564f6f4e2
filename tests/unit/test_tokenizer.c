/* test_tokenizer.c — tokens and text against the `tokenizers` package and transformers (tests/golden/tokenizer,
 * made by tools/golden_tokenizer.py), streaming, stops, and files that must be refused. */
#include "text/tokenizer.h"

#include "base/os.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "text/tokenizer_gguf.h"
#include "tokenizer_test.h"

/* ---- goldens ----------------------------------------------------------------------------- */

static void test_goldens(void **state)
{
    static const char *const names[] = {"smollm", "gpt2", "llama3", "qwen2", "o200k", "removed", "visible", "digits"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char folder[1024], golden[1100];
        snprintf(folder, sizeof folder, TEST_DATA "/tokenizer/%s", names[i]);
        snprintf(golden, sizeof golden, "%s/expected.jsonl", folder);
        assert_true(check_golden(folder, golden) > 30);
    }
}

static void test_gguf(void **state)
{
    const char *model = getenv("LORAC_TEST_MODEL");
    if (!model) skip();
    assert_true(check_golden(model, TEST_DATA "/tokenizer/gguf.jsonl") > 30);
    struct lorac_tokenizer *t = open_it(model);
    lorac_tokenizer_info info = {.struct_size = sizeof info};
    lorac_tokenizer_get_info(t, &info);
    assert_int_equal(info.vocab_size, 49152);
    assert_int_equal(info.bos, 1);
    assert_int_equal(info.eos, 2);
    assert_false(info.adds_bos);
    assert_true(lorac_tokenizer_is_stop(t, 2));
    assert_false(lorac_tokenizer_is_stop(t, 0));
    lorac_tokenizer_close(t);
}

/* ---- the files beside a tokenizer.json ---------------------------------------------------- */

static void write_file(const char *folder, const char *name, const char *text)
{
    char *path = os_join(&memory, folder, name);
    assert_int_equal(os_write_whole(&memory, path, text, strlen(text), NULL), LORAC_OK);
    mem_free(&memory, path);
}

static void test_folder(void **state)
{
    char folder[] = "tokenizer_folder_XXXXXX", *path;
    assert_non_null(mkdtemp(folder));
    path = os_join(&memory, folder, "tokenizer.json");
    assert_int_equal(os_copy_file(&memory, TEST_DATA "/tokenizer/o200k/tokenizer.json", path, NULL), LORAC_OK);
    write_file(
        folder, "tokenizer_config.json",
        "{\"add_bos_token\":true,\"bos_token\":{\"content\":\"<|begin|>\"},\"eos_token\":\"<|im_end|>\",\"pad_token\":"
        "null,"
        "\"model_max_length\":1000000000000000019884624838656,"
        "\"chat_template\":[{\"name\":\"default\",\"template\":\"D\"},{\"name\":\"tool_use\",\"template\":\"T\"}]}");
    write_file(folder, "generation_config.json", "{\"eos_token_id\":[2,0,99999]}");

    struct lorac_tokenizer *t = open_it(path);
    lorac_tokenizer_info info = {.struct_size = sizeof info};
    lorac_tokenizer_get_info(t, &info);
    assert_int_equal(info.bos, 3);
    assert_int_equal(info.eos, 2);
    assert_true(info.adds_bos && !info.adds_eos);
    assert_string_equal(info.chat_template, "D");
    assert_string_equal(t->chat_template_tools, "T");
    assert_true(lorac_tokenizer_is_stop(t, 0) && lorac_tokenizer_is_stop(t, 2) && !lorac_tokenizer_is_stop(t, 1));
    assert_false(lorac_tokenizer_is_stop(t, -1) || lorac_tokenizer_is_stop(t, 99999));
    lorac_tokenizer_close(t);

    write_file(folder, "chat_template.jinja", "J<|im_start|>");
    t = open_it(folder);
    assert_string_equal(t->chat_template, "J<|im_start|>");
    lorac_tokenizer_close(t);
    mem_free(&memory, path);
    os_remove_tree(&memory, folder, NULL);
    assert_int_equal(memory.used, 0);
}

/* ---- chats ------------------------------------------------------------------------------- */

static void test_chat(void **state)
{
    struct lorac_tokenizer *t = open_it(TEST_DATA "/tokenizer/smollm");
    static const char messages[] = "[{\"role\":\"user\",\"content\":\"Hi\"}]", broken[] = "{\"messages\":3}";
    char *text;
    size_t length;
    lorac_error err;
    assert_int_equal(lorac_chat_render(t, messages, sizeof messages - 1, 1, &text, &length, &err), LORAC_NOT_FOUND);

    static const char source[] = "{% for m in messages %}{{ m.role }}:{{ m.content }}{{ eos_token }}{% endfor %}"
                                 "{{ add_generation_prompt }}{{ tools is none }}";
    t->chat_template = mem_text(&memory, source, sizeof source - 1);
    t->special.eos = 2;
    assert_int_equal(lorac_chat_render(t, messages, sizeof messages - 1, 1, &text, &length, &err), LORAC_OK);
    assert_string_equal(text, "user:Hi<|im_end|>TrueTrue");
    lorac_free(text);
    static const char object[] = "{\"messages\":[{\"role\":\"a\",\"content\":\"b\",\"x\":null}],\"add_generation_"
                                 "prompt\":false,\"tools\":[1],\"eos_token\":\"x\"}";
    assert_int_equal(lorac_chat_render(t, object, sizeof object - 1, 1, &text, &length, &err), LORAC_OK);
    assert_string_equal(text, "a:bxFalseFalse");
    assert_int_equal(length, 14);
    lorac_free(text);
    assert_int_equal(lorac_chat_render(t, broken, sizeof broken - 1, 1, &text, &length, &err), LORAC_INVALID_ARGUMENT);
    lorac_tokenizer_close(t);
    assert_int_equal(memory.used, 0);
}

/* ---- odd input --------------------------------------------------------------------------- */

static void test_malformed_text(void **state)
{
    /* bytes, and what Python's bytes.decode(errors="replace") makes of them */
    static const char *const cases[][2] = {{"a\xFFz", "a\xEF\xBF\xBDz"},
                                           {"\xE6\x9Dx", "\xEF\xBF\xBDx"},
                                           {"\xED\xA0\x80", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"},
                                           {"\xF0\x9F\x98", "\xEF\xBF\xBD"},
                                           {"\xF0\x80\x80", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"},
                                           {"\xF4\x90z", "\xEF\xBF\xBD\xEF\xBF\xBDz"},
                                           {"\xC3\xA9\xC3", "\xC3\xA9\xEF\xBF\xBD"},
                                           {"\xC0\xAF", "\xEF\xBF\xBD\xEF\xBF\xBD"}};
    struct lorac_tokenizer *t = open_it(TEST_DATA "/tokenizer/qwen2");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int32_t *ids;
        char *text;
        size_t count, length;
        assert_int_equal(lorac_tokenizer_encode(t, cases[i][0], strlen(cases[i][0]), 0, &ids, &count, NULL), LORAC_OK);
        assert_int_equal(lorac_tokenizer_decode(t, ids, count, 0, &text, &length, NULL), LORAC_OK);
        assert_string_equal(text, cases[i][1]);
        lorac_free(ids);
        lorac_free(text);
    }
    lorac_tokenizer_close(t);
}

static void test_ids_out_of_range(void **state)
{
    struct lorac_tokenizer *t = open_it(TEST_DATA "/tokenizer/gpt2");
    lorac_error err;
    char *text;
    size_t length;
    int32_t bad[] = {0, 123456}, negative = -1;
    assert_int_equal(lorac_tokenizer_decode(t, bad, 2, 0, &text, &length, &err), LORAC_INVALID_ARGUMENT);
    assert_non_null(strstr(err.message, "123456"));
    assert_int_equal(lorac_tokenizer_decode(t, &negative, 1, 0, &text, &length, &err), LORAC_INVALID_ARGUMENT);
    lorac_tokenizer_close(t);
    assert_int_equal(memory.used, 0);
}

/* Two megabytes without a place to cut: the time must not grow with the square. */
static void test_long_word(void **state)
{
    enum { LENGTH = 2 << 20 };
    struct lorac_tokenizer *t = open_it(TEST_DATA "/tokenizer/llama3");
    char *text = malloc(LENGTH), *back;
    static const char pattern[] = "aaabthe";
    for (size_t i = 0; i < LENGTH; i++) text[i] = pattern[(i * i) % 7];
    int32_t *ids;
    size_t count, length;
    double begin = os_seconds();
    assert_int_equal(lorac_tokenizer_encode(t, text, LENGTH, 0, &ids, &count, NULL), LORAC_OK);
    double seconds = os_seconds() - begin;
    print_message("2 MiB in one word: %.2f s (bound 20)\n", seconds);
    assert_true(seconds < 20);
    assert_int_equal(lorac_tokenizer_decode(t, ids, count, 0, &back, &length, NULL), LORAC_OK);
    assert_int_equal(length, LENGTH);
    assert_memory_equal(back, text, LENGTH);
    lorac_free(back);
    lorac_free(ids);
    free(text);
    lorac_tokenizer_close(t);
}

/* ---- files that must be refused ---------------------------------------------------------- */

#define JSON(normalizer, pre, post, decoder, model)                                                                    \
    "{\"added_tokens\":[],\"normalizer\":" normalizer ",\"pre_tokenizer\":" pre ",\"post_processor\":" post            \
    ",\"decoder\":" decoder ",\"model\":" model "}"
#define BYTES "{\"type\":\"ByteLevel\",\"add_prefix_space\":false}"
#define MODEL "{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"ab\":2},\"merges\":[\"a b\"]}"
#define SPLIT(pattern)                                                                                                 \
    "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\",\"pattern\":{\"Regex\":\"" pattern                  \
    "\"},\"behavior\":\"Isolated\",\"invert\":false}," BYTES "]}"

static lorac_status open_text(const char *text, lorac_error *err)
{
    struct lorac_tokenizer *t;
    lorac_status status = tokenizer_open_json_bytes(&memory, text, strlen(text), &t, err);
    if (status == LORAC_OK) lorac_tokenizer_close(t);
    assert_int_equal(memory.used, 0);
    return status;
}

static void test_refusals(void **state)
{
    static const struct {
        const char *json;
        lorac_status status;
        const char *named;
    } cases[] = {
        {JSON("null", BYTES, "null", BYTES, MODEL), LORAC_OK, ""},
        {JSON("{\"type\":\"NFZ\"}", BYTES, "null", BYTES, MODEL), LORAC_UNSUPPORTED, "NFZ"},
        {JSON("{\"type\":\"Replace\",\"pattern\":{\"String\":\"\"},\"content\":\"\"}", BYTES, "null", BYTES, MODEL),
         LORAC_FORMAT, "empty"},
        {JSON("{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"AAAA\"}", BYTES, "null", BYTES, MODEL),
         LORAC_FORMAT, "charsmap"},
        {JSON("null", "{\"type\":\"Metaspaces\"}", "null", BYTES, MODEL), LORAC_UNSUPPORTED, "Metaspaces"},
        {JSON("null", "{\"type\":\"Metaspace\",\"prepend_scheme\":\"last\"}", "null", BYTES, MODEL), LORAC_UNSUPPORTED,
         "last"},
        {JSON("null", "{\"type\":\"Metaspace\",\"replacement\":\"ab\"}", "null", BYTES, MODEL), LORAC_FORMAT,
         "one character"},
        {JSON("null", "null", "null", "null", MODEL), LORAC_OK, ""},
        {JSON("null", BYTES, "{\"type\":\"RobertaProcessing\"}", BYTES, MODEL), LORAC_FORMAT, "post_processor"},
        {JSON("null", BYTES, "null", "{\"type\":\"WordPieces\"}", MODEL), LORAC_UNSUPPORTED, "WordPieces"},
        {JSON("null", BYTES, "null", "{\"type\":\"Strip\"}", MODEL), LORAC_FORMAT, "Strip"},
        {JSON("null", "null", "null", "null", "{\"type\":\"Bigram\",\"vocab\":{\"a\":0}}"), LORAC_UNSUPPORTED,
         "Bigram"},
        {JSON("null", "null", "null", "null", "{\"type\":\"Unigram\",\"unk_id\":7,\"vocab\":[[\"a\",-1.5]]}"),
         LORAC_FORMAT, "unk_id"},
        {JSON("null", "null", "null", "null", "{\"type\":\"Unigram\",\"vocab\":[[\"a\"]]}"), LORAC_FORMAT, "score"},
        {JSON("null", "null", "null", "null", "{\"type\":\"Unigram\",\"vocab\":[[\"a\",-1],[\"b\",-2,1]]}"),
         LORAC_FORMAT, "score"},
        {JSON("null", "null", "null", "null", "{\"type\":\"WordPiece\",\"vocab\":{\"a\":0}}"), LORAC_FORMAT,
         "unk_token"},
        {JSON("null", BYTES, "null", BYTES, "{\"type\":\"BPE\",\"dropout\":0.1,\"vocab\":{\"a\":0},\"merges\":[]}"),
         LORAC_FORMAT, "dropout"},
        {JSON("null", BYTES, "null", BYTES, "{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":0},\"merges\":[]}"),
         LORAC_FORMAT, "two tokens"},
        {JSON("null", BYTES, "null", BYTES, "{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"a\":1},\"merges\":[]}"),
         LORAC_FORMAT, "twice"},
        {JSON("null", BYTES, "null", BYTES, "{\"type\":\"BPE\",\"vocab\":{\"a\":4000000000},\"merges\":[]}"),
         LORAC_FORMAT, "far"},
        {JSON("null", BYTES, "null", BYTES, "{\"type\":\"BPE\",\"vocab\":{\"a\":-1},\"merges\":[]}"), LORAC_FORMAT,
         "id"},
        {JSON("null", BYTES, "null", BYTES, "{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[\"a c\"]}"),
         LORAC_FORMAT, "merge 0"},
        {JSON("null", BYTES, "null", BYTES, "{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[[\"a\"]]}"),
         LORAC_FORMAT, "list of two"},
        {JSON("null", BYTES, "null", BYTES, "{\"type\":\"BPE\",\"vocab\":{},\"merges\":[]}"), LORAC_FORMAT, "empty"},
        {JSON("null", SPLIT("(a"), "null", BYTES, MODEL), LORAC_FORMAT, "regular expression"},
        {JSON("null", SPLIT("\\\\p"), "null", BYTES, MODEL), LORAC_UNSUPPORTED, "unfinished"},
        {"{\"model\":", LORAC_FORMAT, "damaged"},
        {"[]", LORAC_FORMAT, "model"},
        {"", LORAC_FORMAT, "damaged"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        lorac_error err = {0};
        lorac_status status = open_text(cases[i].json, &err);
        if (status != cases[i].status || !strstr(err.message, cases[i].named))
            fail_msg("case %zu: %s: %s", i, lorac_status_name(status), err.message);
    }
}

/* Every prefix of a file is refused, and no byte changed crashes. */
static void test_damage(void **state)
{
    char *bytes;
    size_t size;
    assert_int_equal(os_read(&memory, TEST_DATA "/tokenizer/removed/tokenizer.json", 1 << 20, &bytes, &size, NULL),
                     LORAC_OK);
    size_t held = memory.used;
    struct lorac_tokenizer *t;
    for (size_t cut = 0; cut + 1 < size; cut += 61)
        assert_int_not_equal(tokenizer_open_json_bytes(&memory, bytes, cut, &t, NULL), LORAC_OK);
    for (size_t at = 0; at < size; at += 23) {
        bytes[at] ^= 1 << at % 7;
        if (tokenizer_open_json_bytes(&memory, bytes, size, &t, NULL) == LORAC_OK) lorac_tokenizer_close(t);
        bytes[at] ^= 1 << at % 7;
    }
    assert_int_equal(memory.used, held);
    mem_free(&memory, bytes);
}

/* With ever more memory, opening fails cleanly until it succeeds. */
static void test_out_of_memory(void **state)
{
    struct memory tight = {0};
    struct lorac_tokenizer *t;
    lorac_status status = LORAC_OUT_OF_MEMORY;
    for (tight.limit = 64; status != LORAC_OK && tight.limit < 64 << 20; tight.limit += tight.limit / 8 + 64) {
        lorac_error err = {0};
        status = tokenizer_open(&tight, true, TEST_DATA "/tokenizer/qwen2", &t, &err);
        if (status != LORAC_OK && status != LORAC_OUT_OF_MEMORY) fail_msg("limit %zu: %s", tight.limit, err.message);
        if (status == LORAC_OK) lorac_tokenizer_close(t);
        assert_int_equal(tight.used, 0);
    }
    assert_int_equal(status, LORAC_OK);
}

/* Every name that llama.cpp writes into tokenizer.ggml.pre is known, and its expressions compile. */
static void test_gguf_names(void **state)
{
    static const char *const names[] = {"default",
                                        "minicpm5",
                                        "llama3",
                                        "llama-v3",
                                        "llama-bpe",
                                        "falcon3",
                                        "falcon-h1",
                                        "pixtral",
                                        "midm-2.0",
                                        "lfm2",
                                        "jina-v5-nano",
                                        "deepseek-llm",
                                        "deepseek-coder",
                                        "deepseek-v3",
                                        "spark2_5",
                                        "youtu",
                                        "falcon",
                                        "mpt",
                                        "starcoder",
                                        "gpt-2",
                                        "phi-2",
                                        "jina-es",
                                        "jina-de",
                                        "gigachat",
                                        "jina-v2-es",
                                        "jina-v2-de",
                                        "a.x-4.0",
                                        "mellum",
                                        "modern-bert",
                                        "jais-2",
                                        "gemma4",
                                        "granite-embed-multi-311m",
                                        "sarvam-moe",
                                        "jina-v1-en",
                                        "jina-v2-code",
                                        "roberta-bpe",
                                        "whitespace",
                                        "refact",
                                        "command-r",
                                        "qwen2",
                                        "deepseek-r1-qwen",
                                        "kormo",
                                        "f2llmv2",
                                        "qwen35",
                                        "stablelm2",
                                        "olmo",
                                        "dbrx",
                                        "smaug-bpe",
                                        "poro-chat",
                                        "glm4",
                                        "glm5",
                                        "chatglm-bpe",
                                        "viking",
                                        "jais",
                                        "tekken",
                                        "smollm",
                                        "codeshell",
                                        "bloom",
                                        "gpt3-finnish",
                                        "exaone",
                                        "exaone4",
                                        "exaone-moe",
                                        "chameleon",
                                        "minerva-7b",
                                        "megrez",
                                        "gpt-4o",
                                        "llama4",
                                        "kanana2",
                                        "talkie",
                                        "granite-embed-multi-97m",
                                        "tiny_aya",
                                        "cohere2moe",
                                        "superbpe",
                                        "trillion",
                                        "granite-docling",
                                        "bailingmoe",
                                        "bailingmoe2",
                                        "llada-moe",
                                        "seed-coder",
                                        "hunyuan",
                                        "hunyuan-dense",
                                        "hy_v4",
                                        "joyai-llm",
                                        "kimi-k2",
                                        "ufakzeka",
                                        "grok-2",
                                        "afmoe",
                                        "laguna",
                                        "minimax-m2",
                                        "solar-open",
                                        "mellum2"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const struct gguf_split *split = gguf_split_named(names[i]);
        if (!split) fail_msg("%s is not known", names[i]);
        for (size_t step = 0; step < GGUF_SPLIT_STEPS && split->patterns[step]; step++) {
            struct regex *regex = NULL;
            lorac_error err = {0};
            if (regex_compile(&memory, split->patterns[step], strlen(split->patterns[step]), false, names[i], &regex,
                              &err))
                fail_msg("%s", err.message);
            regex_free(regex);
        }
    }
    assert_null(gguf_split_named("llama"));
    assert_int_equal(memory.used, 0);
}

/* Where the model's own tokenizer.json takes a word that the vocabulary has without merging it. */
static void test_gguf_whole_words(void **state)
{
    static const char *const whole[] = {"minicpm5", "llama-bpe", "falcon3", "pixtral", "glm4",
                                        "glm5",     "tekken",    "youtu",   "lfm2",    "granite-embed-multi-97m"},
                             *const merged[] = {"gpt-2", "qwen2", "chatglm-bpe", "deepseek-v3", "gpt-4o", "command-r"};
    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++)
        if (!gguf_split_named(whole[i])->ignore_merges) fail_msg("%s merges words of the vocabulary", whole[i]);
    for (size_t i = 0; i < sizeof merged / sizeof *merged; i++)
        if (gguf_split_named(merged[i])->ignore_merges) fail_msg("%s takes words whole", merged[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_goldens),        cmocka_unit_test(test_gguf),
        cmocka_unit_test(test_folder),         cmocka_unit_test(test_chat),
        cmocka_unit_test(test_malformed_text), cmocka_unit_test(test_ids_out_of_range),
        cmocka_unit_test(test_long_word),      cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_damage),         cmocka_unit_test(test_out_of_memory),
        cmocka_unit_test(test_gguf_names),     cmocka_unit_test(test_gguf_whole_words),
    };
    return cmocka_run_group_tests_name("tokenizer", tests, NULL, NULL);
}
