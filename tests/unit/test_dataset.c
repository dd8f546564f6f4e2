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
    f->options.overlong = LORAC_OVERLONG_CUT_LEFT;
    OK(open_data(f, lines, err));
    assert_row(f, 0, "fgh<|im_end|>", "gh<|im_end|>");
    lorac_dataset_close(f->data);
    f->options.overlong = LORAC_OVERLONG_CUT_MIDDLE;
    OK(open_data(f, lines, err));
    assert_row(f, 0, "abh<|im_end|>", "b<|im_end|>"); /* h is not predicted from b */
    assert_int_equal(info_of(f).longest, 4);
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

/* ---- masks of the reference programs ------------------------------------------------------------------- */

/* The tokenizer of the fixture under another chat template. */
static void use_template(struct fixture *f, const char *source)
{
    char from[300], to[300];
    struct memory m = {0};
    lorac_tokenizer_close(f->tokenizer);
    for (int i = 0; i < 2; i++) {
        const char *name = i ? "tokenizer_config.json" : "tokenizer.json";
        snprintf(from, sizeof from, MODELS "plain/%s", name);
        snprintf(to, sizeof to, "%s/%s", f->folder, name);
        OK(os_copy_file(&m, from, to, err));
    }
    file_write(f->folder, "chat_template.jinja", source);
    OK(lorac_tokenizer_open(f->runtime, f->folder, &f->tokenizer, err));
}

static void assert_numbers(const json_t *wanted, const int32_t *ids, const uint8_t *mask, size_t count)
{
    assert_int_equal(json_array_size(wanted), count);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(json_integer_value(json_array_get(wanted, i)), ids ? ids[i] : mask[i]);
}

static void check_mask(struct fixture *f, const json_t *one)
{
    const int32_t *ids;
    const uint8_t *mask;
    size_t count;
    char *line = json_dumps(json_object_get(one, "row"), JSON_COMPACT);
    bool last = !strcmp(json_string_value(json_object_get(one, "train_on")), "last");
    f->options.train_on = last ? LORAC_TRAIN_ON_LAST : LORAC_TRAIN_ON_ASSISTANT;
    OK(open_data(f, line, err));
    OK(lorac_dataset_row(f->data, 0, &ids, &mask, &count, err));
    assert_numbers(json_object_get(one, "tokens"), ids, NULL, count);
    assert_numbers(json_object_get(one, "targets"), NULL, mask, count);
    lorac_dataset_close(f->data);
    free(line);
}

static void masks_of_the_references(void **state)
{
    struct fixture *f = *state;
    struct memory m = {0};
    json_t *file = NULL;
    OK(json_read_file(&m, TEST_DATA "/masks/cases.json", (size_t)1 << 24, &file, err));
    const json_t *templates = json_object_get(file, "templates"), *cases = json_object_get(file, "cases");
    assert_true(json_array_size(cases) > 100);
    for (size_t t = 0; t < json_array_size(templates); t++) {
        use_template(f, json_string_value(json_array_get(templates, t)));
        for (size_t i = 0; i < json_array_size(cases); i++) {
            const json_t *one = json_array_get(cases, i);
            if (json_integer_value(json_object_get(one, "template")) == (json_int_t)t) check_mask(f, one);
        }
    }
    json_decref(file);
}

#define NOT_TRAINED "{\"role\": \"assistant\", \"content\": \"one\", \"train\": false}"
static void messages_that_are_not_trained(void **state)
{
    struct fixture *f = *state;
    static const char *const chat =
        "{\"messages\": [" MESSAGE("user", "a") "," NOT_TRAINED
                                                "," MESSAGE("user", "b") "," MESSAGE("assistant", "two") "]}";
    static const char *const text = USER("a") BOT SAYS("one") USER("b") BOT SAYS("two");
    static const char *const marked =
        "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' }}{% if m.role == 'assistant' %}{% generation %}{{ "
        "m.content + '<|im_end|>\n' }}{% endgeneration %}{% else %}{{ m.content + '<|im_end|>\n' }}{% endif %}{% "
        "endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";
    for (int with_marks = 0; with_marks < 2; with_marks++) {
        if (with_marks) use_template(f, marked);
        f->options.train_on = LORAC_TRAIN_ON_ASSISTANT;
        OK(open_data(f, chat, err));
        assert_row(f, 0, text, SAYS("two"));
        lorac_dataset_close(f->data);
        f->options.train_on = LORAC_TRAIN_ON_ALL;
        OK(open_data(f, chat, err));
        assert_row(f, 0, text, "user\na<|im_end|>\n" BOT USER("b") BOT SAYS("two"));
        lorac_dataset_close(f->data);
    }
    f->options.train_on = LORAC_TRAIN_ON_LAST;
    OK(open_data(f, "{\"messages\": [" MESSAGE("user", "a") "," NOT_TRAINED "]}", err));
    assert_row(f, 0, USER("a") BOT SAYS("one"), "");
    lorac_dataset_close(f->data);
}

static void answers_that_cannot_be_found(void **state)
{
    struct fixture *f = *state;
    use_template(f, "{{ messages | length }}{% for m in messages %}[{{ m.content | reverse }}]{% endfor %}");
    f->options.train_on = LORAC_TRAIN_ON_ASSISTANT;
    FAILS(open_data(f,
                    "{\"messages\": [" MESSAGE("user", "a") "," MESSAGE("assistant", "b") "," MESSAGE("user", "c") "]}",
                    err),
          LORAC_UNSUPPORTED, "line 1: the tokens of message 2 cannot be found");
}

/* ---- other files ---------------------------------------------------------------------------------------- */

static void use_file(struct fixture *f, const char *name, const char *content)
{
    file_write(f->folder, name, content);
    snprintf(f->path, sizeof f->path, "%s/%s", f->folder, name);
}

static lorac_status open_file(struct fixture *f, lorac_error *err)
{
    return lorac_dataset_open(f->runtime, f->tokenizer, f->path, &f->options, &f->data, err);
}

static void json_arrays(void **state)
{
    struct fixture *f = *state;
    use_file(f, "data.json", " [{\"text\": \"ab\"},\n {\"text\": \"cd\"}, {\"text\": \"e\"}]\n");
    f->options.max_rows = 2;
    OK(open_file(f, err));
    assert_row(f, 1, "cd<|im_end|>", "d<|im_end|>");
    assert_int_equal(info_of(f).rows, 2);
    lorac_dataset_close(f->data);
    use_file(f, "data.json", "[{\"text\": \"ab\"}, 5]");
    f->options.max_rows = 0;
    FAILS(open_file(f, err), LORAC_FORMAT, "data.json: row 2: is not a JSON object");
    use_file(f, "data.json", "{\"text\": \"ab\"}");
    FAILS(open_file(f, err), LORAC_FORMAT, "is not a JSON array");
    use_file(f, "data.json", "[{\"text\": ");
    FAILS(open_file(f, err), LORAC_FORMAT, "data.json");
}

static void tables(void **state)
{
    struct fixture *f = *state;
    use_file(f, "data.csv", "\xef\xbb\xbfprompt,\"completion\",note\r\n\"2+\n\"\"2\"\"\",4,\n\n,\"\",x\n");
    f->options.train_on = LORAC_TRAIN_ON_LAST;
    OK(open_file(f, err));
    assert_row(f, 0, USER("2+\n\"2\"") BOT SAYS("4"), SAYS("4"));
    assert_row(f, 1, USER("") BOT SAYS(""), SAYS(""));
    lorac_dataset_close(f->data);
    use_file(f, "data.csv", "messages\n\"[{\"\"role\"\":\"\"user\"\",\"\"content\"\":\"\"a\"\"}]\"");
    OK(open_file(f, err));
    assert_row(f, 0, USER("a"), "user\na<|im_end|>\n");
    lorac_dataset_close(f->data);
    static const char *const bad[][2] = {{"text\n\"a", "line 2 ends inside a quoted cell"},
                                         {"text\n\"a\"b\n", "line 2 has text after a closing quote"},
                                         {"text,x\na\n", "line 2 has fewer cells"},
                                         {"text\na,b\n", "line 2 has more cells"},
                                         {"text\n\xff\n", "line 2 is not UTF-8"},
                                         {"messages\n[\n", "line 2: \"messages\" is not JSON"},
                                         {"text\n", "holds no row"}};
    f->options.train_on = LORAC_TRAIN_ON_ALL;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        use_file(f, "data.csv", bad[i][0]);
        FAILS(open_file(f, err), LORAC_FORMAT, bad[i][1]);
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, open_fixture, close_fixture)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(text_rows),
        TEST(completions),
        TEST(chats),
        TEST(overlong_rows),
        TEST(bad_lines_are_named),
        TEST(hashes_tell_contents_apart),
        TEST(rows_of_ids),
        TEST(masks_of_the_references),
        TEST(messages_that_are_not_trained),
        TEST(answers_that_cannot_be_found),
        TEST(json_arrays),
        TEST(tables),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
