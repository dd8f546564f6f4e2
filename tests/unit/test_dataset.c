/* test_dataset.c — JSONL files to token rows: the three formats, which tokens are targets, the length rule, bad lines.
 */
#include "engine.h"

struct fixture {
    lorac_runtime *runtime;
    lorac_tokenizer *tokenizer; /* its template writes "<|im_start|>ROLE\nCONTENT<|im_end|>\n" */
    char folder[256], path[300];
    lorac_dataset_options options;
    lorac_dataset *data;
};

static int open_fixture(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    f->runtime = runtime_of(NULL, 1);
    OK(lorac_tokenizer_open(f->runtime, MODELS "plain", &f->tokenizer, err));
    folder_make(f->folder);
    snprintf(f->path, sizeof f->path, "%s/data.jsonl", f->folder);
    lorac_dataset_options_init(&f->options);
    *state = f;
    return 0;
}

static int close_fixture(void **state)
{
    struct fixture *f = *state;
    folder_remove(f->folder);
    lorac_tokenizer_close(f->tokenizer);
    runtime_end(f->runtime);
    free(f);
    return 0;
}

static lorac_status open_data(struct fixture *f, const char *lines, lorac_error *err)
{
    file_write(f->folder, "data.jsonl", lines);
    return lorac_dataset_open(f->runtime, f->tokenizer, f->path, &f->options, &f->data, err);
}

/* Row `row` must be `text`, its targets `targets`, both decoded. */
static void assert_row(struct fixture *f, size_t row, const char *text, const char *targets)
{
    const int32_t *ids;
    const uint8_t *mask;
    int32_t chosen[512];
    size_t count, n = 0, length;
    char *found;
    OK(lorac_dataset_row(f->data, row, &ids, &mask, &count, err));
    assert_true(count <= 512 && !mask[0]);
    for (size_t i = 0; i < count; i++)
        if (mask[i]) chosen[n++] = ids[i];
    OK(lorac_tokenizer_decode(f->tokenizer, ids, count, 0, &found, &length, err));
    assert_string_equal(found, text);
    lorac_free(found);
    OK(lorac_tokenizer_decode(f->tokenizer, chosen, n, 0, &found, &length, err));
    assert_string_equal(found, targets);
    lorac_free(found);
}

static lorac_dataset_info info_of(const struct fixture *f)
{
    lorac_dataset_info info = {.struct_size = sizeof info};
    lorac_dataset_get_info(f->data, &info);
    return info;
}

/* ---- formats ---------------------------------------------------------------------------------------- */

static void text_rows(void **state)
{
    struct fixture *f = *state;
    OK(open_data(
        f, "{\"text\": \"ab \xc3\xa6\"}\n\n  \t\r\n{\"text\": \"x<|im_end|>\", \"other\": [1]}\r\n{\"text\": \"yz\"}",
        err));
    assert_row(f, 0, "ab \xc3\xa6<|im_end|>", "b \xc3\xa6<|im_end|>");
    assert_row(f, 1, "x<|im_end|>", "<|im_end|>"); /* ends so already */
    assert_row(f, 2, "yz<|im_end|>", "z<|im_end|>");
    lorac_dataset_info info = info_of(f);
    assert_true(info.rows == 3 && info.targets == info.tokens - 3 && !info.cut);
    lorac_dataset_close(f->data);
}

#define USER(text) "<|im_start|>user\n" text "<|im_end|>\n"
#define BOT        "<|im_start|>assistant\n"
#define SAYS(text) text "<|im_end|>\n"

static void completions(void **state)
{
    struct fixture *f = *state;
    static const char *const lines =
        "{\"prompt\": \"2+2\", \"completion\": \"4\"}\n{\"prompt\": \"\", \"completion\": \"\"}\n";
    for (int train_on = LORAC_TRAIN_ON_ALL; train_on <= LORAC_TRAIN_ON_ASSISTANT; train_on++) {
        f->options.train_on = (lorac_train_on)train_on;
        OK(open_data(f, lines, err));
        assert_row(f, 0, USER("2+2") BOT SAYS("4"),
                   train_on == LORAC_TRAIN_ON_ALL ? "user\n2+2<|im_end|>\n" BOT SAYS("4") : SAYS("4"));
        assert_row(f, 1, USER("") BOT SAYS(""),
                   train_on == LORAC_TRAIN_ON_ALL ? "user\n<|im_end|>\n" BOT SAYS("") : SAYS(""));
        lorac_dataset_close(f->data);
    }
}

#define MESSAGE(role, text) "{\"role\": \"" role "\", \"content\": \"" text "\"}"

static void chats(void **state)
{
    struct fixture *f = *state;
    static const char *const lines =
        "{\"messages\": [" MESSAGE("user", "a") "," MESSAGE("assistant", "one") "," MESSAGE("user", "b") "," MESSAGE(
            "assistant",
            "two") "]}\n{\"messages\": [" MESSAGE("user", "c") "," MESSAGE("assistant",
                                                                           "three") "," MESSAGE("user", "d") "]}\n";
    static const char *const text = USER("a") BOT SAYS("one") USER("b") BOT SAYS("two");
    static const char *const other = USER("c") BOT SAYS("three") USER("d");
    static const char *const targets[3][2] = {
        {USER("a") BOT SAYS("one") USER("b") BOT SAYS("two"), USER("c") BOT SAYS("three") USER("d")},
        {SAYS("two"), USER("d")},
        {SAYS("one") SAYS("two"), SAYS("three")}};
    for (int train_on = LORAC_TRAIN_ON_ALL; train_on <= LORAC_TRAIN_ON_ASSISTANT; train_on++) {
        size_t skip = train_on == LORAC_TRAIN_ON_ALL ? strlen("<|im_start|>") : 0; /* the first token is never one */
        f->options.train_on = (lorac_train_on)train_on;
        OK(open_data(f, lines, err));
        assert_row(f, 0, text, targets[train_on][0] + skip);
        assert_row(f, 1, other, targets[train_on][1] + skip);
        lorac_dataset_close(f->data);
    }
}

/* ---- lengths ------------------------------------------------------------------------------------------ */

static void overlong_rows(void **state)
{
    struct fixture *f = *state;
    static const char *const lines = "{\"text\": \"abcdefgh\"}\n{\"text\": \"xy\"}\n";
    f->options.max_seq_length = 4;
    OK(open_data(f, lines, err));
    assert_row(f, 0, "abcd", "bcd");
    assert_row(f, 1, "xy<|im_end|>", "y<|im_end|>");
    assert_true(info_of(f).cut == 1 && info_of(f).longest == 4);
    lorac_dataset_close(f->data);
    f->options.overlong = LORAC_OVERLONG_SPLIT;
    OK(open_data(f, lines, err));
    assert_row(f, 0, "abcd", "bcd");
    assert_row(f, 1, "efgh", "fgh");
    assert_row(f, 2, "<|im_end|>", "");
    assert_true(info_of(f).rows == 4 && info_of(f).cut == 1);
    lorac_dataset_close(f->data);
    f->options.overlong = LORAC_OVERLONG_ERROR;
    FAILS(open_data(f, lines, err), LORAC_FORMAT, "data.jsonl: line 1 has 9 tokens, more than the 4 allowed");
    f->options.max_seq_length = 0;
    OK(open_data(f, lines, err));
    assert_int_equal(info_of(f).longest, 9);
    lorac_dataset_close(f->data);
}

/* ---- bad lines ------------------------------------------------------------------------------------------ */

static void bad_lines_are_named(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *lines, *words;
        lorac_train_on train_on;
    } cases[] = {
        {"{\"text\": \"a\"}\n\n{\"text\": ", "data.jsonl: line 3 is not JSON", LORAC_TRAIN_ON_ALL},
        {"{\"text\": \"a\"}\n[1]\n", "line 2: is not a JSON object", LORAC_TRAIN_ON_ALL},
        {"{\"txt\": \"a\"}\n", "line 1: a row needs \"text\"", LORAC_TRAIN_ON_ALL},
        {"{\"prompt\": \"a\"}\n", "line 1: a row needs", LORAC_TRAIN_ON_ALL},
        {"{\"text\": \"a\"}\n{\"prompt\": \"a\", \"completion\": \"b\"}",
         "line 2: has no \"text\", which the first row has", LORAC_TRAIN_ON_ALL},
        {"{\"prompt\": \"a\", \"completion\": \"b\"}\n{\"prompt\": \"a\"}",
         "line 2: \"prompt\" and \"completion\" must be strings", LORAC_TRAIN_ON_ALL},
        {"{\"text\": 5}\n", "line 1: \"text\" is not a string", LORAC_TRAIN_ON_ALL},
        {"{\"text\": \"a\"}\n", "line 1: a prompt mask needs", LORAC_TRAIN_ON_LAST},
        {"{\"messages\": []}\n", "line 1: \"messages\" is not a list", LORAC_TRAIN_ON_ALL},
        {"{\"messages\": \"a\"}\n", "line 1: \"messages\" is not a list", LORAC_TRAIN_ON_ALL},
        {"{\"messages\": [" MESSAGE("user", "a") "]}\n{\"messages\": [5]}\n", "line 2", LORAC_TRAIN_ON_ALL},
        {"{\"messages\": [{\"role\": \"user\"}]}\n", "line 1", LORAC_TRAIN_ON_LAST},
        {"\n \n", "holds no row", LORAC_TRAIN_ON_ALL},
        {"", "holds no row", LORAC_TRAIN_ON_ALL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        lorac_error error = {0};
        f->options.train_on = cases[i].train_on;
        lorac_status status = open_data(f, cases[i].lines, &error);
        if (status == LORAC_OK || !strstr(error.message, cases[i].words) || !strstr(error.message, "data.jsonl"))
            fail_msg("case %zu: expected \"%s\", got %d: %s", i, cases[i].words, status, error.message);
    }
    FAILS(lorac_dataset_open(f->runtime, f->tokenizer, "/nowhere/data.jsonl", NULL, &f->data, err), LORAC_NOT_FOUND,
          "/nowhere/data.jsonl");
}

static void hashes_tell_contents_apart(void **state)
{
    struct fixture *f = *state;
    lorac_dataset_info a, b;
    OK(open_data(f, "{\"prompt\": \"a\", \"completion\": \"b\"}\n", err));
    a = info_of(f);
    lorac_dataset_close(f->data);
    OK(open_data(f, "\n{\"completion\": \"b\", \"prompt\": \"a\"}\n", err));
    b = info_of(f);
    lorac_dataset_close(f->data);
    assert_string_equal(a.hash, b.hash);
    f->options.train_on = LORAC_TRAIN_ON_LAST; /* the masks differ */
    OK(open_data(f, "{\"prompt\": \"a\", \"completion\": \"b\"}\n", err));
    b = info_of(f);
    lorac_dataset_close(f->data);
    assert_string_not_equal(a.hash, b.hash);
}

static void rows_of_ids(void **state)
{
    struct fixture *f = *state;
    const int32_t ids[6] = {5, 6, 7, 8, 9, 10}, *found;
    const size_t lengths[3] = {2, 0, 4};
    const uint8_t *mask;
    size_t count;
    OK(lorac_dataset_from_tokens(f->runtime, ids, lengths, 3, &f->data, err));
    OK(lorac_dataset_row(f->data, 2, &found, &mask, &count, err));
    assert_true(count == 4 && found[0] == 7 && !mask[0] && mask[1] && mask[3]);
    OK(lorac_dataset_row(f->data, 1, &found, &mask, &count, err));
    assert_int_equal(count, 0);
    FAILS(lorac_dataset_row(f->data, 3, &found, &mask, &count, err), LORAC_INVALID_ARGUMENT, "no row 3");
    lorac_dataset_info info = info_of(f);
    assert_true(info.tokens == 6 && info.targets == 4 && info.longest == 4);
    lorac_dataset_close(f->data);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, open_fixture, close_fixture)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(text_rows),     TEST(completions),         TEST(chats),
        TEST(overlong_rows), TEST(bad_lines_are_named), TEST(hashes_tell_contents_apart),
        TEST(rows_of_ids),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
