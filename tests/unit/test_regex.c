/* test_regex.c — regular expressions and pre-tokenizers against the `tokenizers` package (tests/golden/regex, made by
 * tools/golden_regex.py): which of all code points a class takes, where texts are cut; expressions that must be
 * refused. */
#include "text/pretokenize.h"

#include "base/os.h"
#include "base/reader.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "golden_lines.h"

static struct regex *compile(const char *pattern)
{
    struct regex *regex = NULL;
    lorac_error err = {0};
    if (regex_compile(&memory, pattern, strlen(pattern), false, NULL, &regex, &err)) fail_msg("%s", err.message);
    return regex;
}

/* ---- classes over all code points -------------------------------------------------------- */

struct every {
    struct text text; /* all scalar values */
    struct regex_match *match;
};

static void make_every(struct every *e)
{
    e->text = (struct text){.memory = &memory};
    for (uint32_t code = 0; code < 0x110000; code++) {
        char bytes[4];
        if (code < 0xD800 || code >= 0xE000) text_add(&e->text, bytes, utf8_encode(code, bytes));
    }
    assert_false(e->text.failed);
    assert_int_equal(regex_match_create(&e->match, NULL), LORAC_OK);
}

static void hash_number(uint64_t *hash, uint32_t number)
{
    for (int i = 0; i < 4; i++) *hash = (*hash ^ (number >> (8 * i) & 0xFF)) * 0x100000001B3u;
}

/* Surrogates are no characters: U+D7FF and U+E000 are not neighbours. */
static uint64_t hash_matches(const struct every *e, const struct regex *regex, size_t *count)
{
    uint64_t hash = 0xCBF29CE484222325u;
    struct regex_scan scan;
    uint32_t code = 0, first = 0, last = 0;
    size_t start, end;
    bool found = true;
    *count = 0;
    assert_int_equal(regex_scan_begin(&scan, regex, e->match, e->text.data, e->text.length, NULL), LORAC_OK);
    for (;;) {
        assert_int_equal(regex_scan_next(&scan, &found, &start, &end, NULL), LORAC_OK);
        if (found) assert_int_equal(utf8_decode((uint8_t *)e->text.data + start, end - start, &code), end - start);
        if (*count && (!found || code != last + 1)) hash_number(&hash, first), hash_number(&hash, last);
        if (!found) break;
        if (!*count || code != last + 1) first = code;
        last = code;
        ++*count;
    }
    regex_scan_end(&scan);
    return hash;
}

static void check_class(const json_t *row, void *context)
{
    const char *pattern = json_string_value(json_object_get(row, "pattern"));
    struct regex *regex = compile(pattern);
    size_t count;
    uint64_t hash = hash_matches(context, regex, &count);
    if (count != (size_t)json_integer_value(json_object_get(row, "count")) ||
        hash != strtoull(json_string_value(json_object_get(row, "hash")), NULL, 16))
        fail_msg("%s takes other characters than the reference's (%zu of them)", pattern, count);
    regex_free(regex);
}

static void test_classes(void **state)
{
    struct every every;
    make_every(&every);
    assert_true(each_line(TEST_DATA "/regex/classes.jsonl", check_class, &every) > 200);
    regex_match_free(every.match);
    text_free(&every.text);
    assert_int_equal(memory.used, 0);
}

/* ---- splits ------------------------------------------------------------------------------ */

struct words {
    const struct pretokenizer *pretokenizer;
    const json_t *expected;
    const char *text;
    size_t count;
};

static lorac_status check_word(void *context, const char *word, size_t length, lorac_error *err)
{
    struct words *w = context;
    const json_t *expected = json_array_get(w->expected, w->count++);
    struct text spelled = {.memory = &memory};
    if (w->pretokenizer->byte_level || w->pretokenizer->spelled)
        byte_level_spell(&w->pretokenizer->alphabet, &spelled, (const uint8_t *)word, length);
    else
        text_add(&spelled, word, length);
    if (!expected || json_string_length(expected) != spelled.length ||
        memcmp(json_string_value(expected), spelled.data, spelled.length))
        fail_msg("\"%s\": word %zu is \"%s\", not \"%s\"", w->text, w->count, spelled.data,
                 expected ? json_string_value(expected) : "(none)");
    text_free(&spelled);
    return LORAC_OK;
}

static void check_splits(const json_t *row, void *context)
{
    struct pretokenizer p;
    struct regex_match *match = context;
    const json_t *splits = json_object_get(row, "splits");
    lorac_error err = {0};
    pretokenizer_init(&p, &memory);
    if (pretokenizer_read(&p, json_object_get(row, "pre_tokenizer"), "golden", &err)) fail_msg("%s", err.message);
    for (size_t i = 0; i < json_array_size(splits); i++) {
        const json_t *text = json_array_get(json_array_get(splits, i), 0);
        struct words w = {&p, json_array_get(json_array_get(splits, i), 1), json_string_value(text), 0};
        if (pretokenize(&p, match, true, json_string_value(text), json_string_length(text), check_word, &w, &err))
            fail_msg("%s", err.message);
        if (w.count != json_array_size(w.expected)) fail_msg("\"%s\": too few words", w.text);
    }
    pretokenizer_free(&p);
}

static void test_splits(void **state)
{
    struct regex_match *match;
    assert_int_equal(regex_match_create(&match, NULL), LORAC_OK);
    assert_true(each_line(TEST_DATA "/regex/splits.jsonl", check_splits, match) > 60);
    regex_match_free(match);
    assert_int_equal(memory.used, 0);
}

/* ---- scripts over all code points ---------------------------------------------------------- */

struct ends {
    size_t count, end;
    uint64_t hash;
};

static lorac_status add_end(void *context, const char *word, size_t length, lorac_error *err)
{
    struct ends *e = context;
    e->count++;
    e->end += length;
    hash_number(&e->hash, (uint32_t)e->end);
    return LORAC_OK;
}

/* All scalar values in an order that puts strangers side by side. */
static void make_mixed(struct text *text)
{
    for (uint64_t i = 0; i < 0x110000; i++) {
        uint32_t code = (uint32_t)(i * 0x9E375 % 0x110000);
        char bytes[4];
        if (code < 0xD800 || code >= 0xE000) text_add(text, bytes, utf8_encode(code, bytes));
    }
    assert_false(text->failed);
}

static void check_scripts(const json_t *row, void *context)
{
    struct text text = {.memory = &memory};
    struct pretokenizer p;
    struct ends ends = {.hash = 0xCBF29CE484222325u};
    make_mixed(&text);
    pretokenizer_init(&p, &memory);
    assert_int_equal(pretokenizer_read(&p, json_object_get(row, "pre_tokenizer"), "golden", NULL), LORAC_OK);
    assert_int_equal(pretokenize(&p, context, true, text.data, text.length, add_end, &ends, NULL), LORAC_OK);
    assert_int_equal(ends.count, json_integer_value(json_object_get(row, "count")));
    assert_true(ends.hash == strtoull(json_string_value(json_object_get(row, "hash")), NULL, 16));
    pretokenizer_free(&p);
    text_free(&text);
}

static void test_scripts(void **state)
{
    struct regex_match *match;
    assert_int_equal(regex_match_create(&match, NULL), LORAC_OK);
    assert_int_equal(each_line(TEST_DATA "/regex/scripts.jsonl", check_scripts, match), 1);
    regex_match_free(match);
    assert_int_equal(memory.used, 0);
}

/* ---- what must be refused ----------------------------------------------------------------- */

static void test_refusals(void **state)
{
    static const struct {
        const char *pattern;
        lorac_status status;
        const char *named;
    } cases[] = {
        {"\\p{Klingon}", LORAC_UNSUPPORTED, "class"},
        {"\\p", LORAC_UNSUPPORTED, "unfinished"},
        {"[[:nothing:]]", LORAC_UNSUPPORTED, "class"},
        {"[a", LORAC_UNSUPPORTED, "unfinished"},
        {"[]a]", LORAC_UNSUPPORTED, "bracket"},
        {"[\\w-x]", LORAC_UNSUPPORTED, "range"},
        {"[z-a]", LORAC_UNSUPPORTED, "range"},
        {"[a-\\d]", LORAC_UNSUPPORTED, "range"},
        {"(a)\\1", LORAC_UNSUPPORTED, "escape"},
        {"\\y", LORAC_UNSUPPORTED, "escape"},
        {"\\xff", LORAC_UNSUPPORTED, "byte"},
        {"\\x{110000}", LORAC_UNSUPPORTED, "code point"},
        {"(?<name>a)", LORAC_UNSUPPORTED, "group"},
        {"(?x: a)", LORAC_UNSUPPORTED, "group"},
        {"(*FAIL)", LORAC_UNSUPPORTED, "verb"},
        {"a(?i)b|c", LORAC_UNSUPPORTED, "middle"},
        {"(?i:ss)", LORAC_UNSUPPORTED, "two letters"},
        {"(?i:\xC3\x9F)", LORAC_UNSUPPORTED, "two letters"},
        {"a*{2}+", LORAC_UNSUPPORTED, "repetition"},
        {"(?:a?|b){2}", LORAC_UNSUPPORTED, "nothing"},
        {"(?:b(?>(?:\\b)*a*?|c){,3})+", LORAC_UNSUPPORTED, "nothing"},
        {"(a", LORAC_FORMAT, "wrong"},
        {"a)", LORAC_FORMAT, "wrong"},
        {"a|*", LORAC_FORMAT, "wrong"},
        {"a\xFF", LORAC_UNSUPPORTED, "UTF-8"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct regex *regex;
        lorac_error err = {0};
        lorac_status status =
            regex_compile(&memory, cases[i].pattern, strlen(cases[i].pattern), false, NULL, &regex, &err);
        if (status != cases[i].status || !strstr(err.message, cases[i].named))
            fail_msg("%s: %s: %s", cases[i].pattern, lorac_status_name(status), err.message);
    }
    assert_int_equal(memory.used, 0);
}

/* 2^60 ways to fail end in an error, not in a wait. */
static void test_steps_are_bounded(void **state)
{
    struct regex *regex = compile("(?:a|a)*(?:b|c)");
    struct regex_match *match;
    struct regex_scan scan;
    char text[61];
    bool found;
    size_t start, end;
    lorac_error err = {0};
    memset(text, 'a', sizeof text);
    assert_int_equal(regex_match_create(&match, NULL), LORAC_OK);
    assert_int_equal(regex_scan_begin(&scan, regex, match, text, sizeof text, &err), LORAC_OK);
    assert_int_equal(regex_scan_next(&scan, &found, &start, &end, &err), LORAC_UNSUPPORTED);
    assert_non_null(strstr(err.message, "steps"));
    regex_scan_end(&scan);
    regex_match_free(match);
    regex_free(regex);
    assert_int_equal(memory.used, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_classes), cmocka_unit_test(test_splits),
                                       cmocka_unit_test(test_scripts), cmocka_unit_test(test_refusals),
                                       cmocka_unit_test(test_steps_are_bounded)};
    return cmocka_run_group_tests_name("regex", tests, NULL, NULL);
}
