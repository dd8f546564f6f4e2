/* test_json.c — reading what real files hold, printing as Python's json.dumps does, typed fields.
 * Expected texts are what Python 3 prints for the same value. */
#include "base/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct memory memory;
static lorac_error err;

static int nothing_left(void **state)
{
    return memory.used ? -1 : 0;
}

static json_t *read_text(const char *text)
{
    json_t *value;
    lorac_status status = json_read(&memory, text, strlen(text), "t.json", &value, &err);
    if (status != LORAC_OK) fail_msg("%s", err.message);
    return value;
}

static void assert_prints(const char *text, struct json_style style, const char *expected)
{
    struct text out = {.memory = &memory};
    json_t *value = read_text(text);
    json_print(&out, value, style);
    assert_false(out.failed);
    assert_string_equal(out.data, expected);
    json_decref(value);
    text_free(&out);
}

static void assert_refused(const char *text, size_t length, const char *reason)
{
    json_t *value = (json_t *)&memory;
    assert_int_equal(json_read(&memory, text, length, "t.json", &value, &err), LORAC_FORMAT);
    assert_null(value);
    assert_memory_equal(err.message, "t.json: ", 8);
    if (!strstr(err.message, reason)) fail_msg("\"%s\" does not say \"%s\"", err.message, reason);
}

/* ---- reading ----------------------------------------------------------------------------- */

static void test_reads_what_jansson_refuses(void **state)
{
    assert_prints("\xEF\xBB\xBF[1]", (struct json_style){0}, "[1]");
    assert_prints("[NaN, Infinity ,-Infinity, -1]", (struct json_style){0}, "[NaN, Infinity, -Infinity, -1]");
    assert_prints("{\"a\": {\"b\": [Infinity]}}", (struct json_style){0}, "{\"a\": {\"b\": [Infinity]}}");
    assert_prints("NaN", (struct json_style){0}, "NaN");
    assert_prints("[1000000000000000019884624838656, -9223372036854775809, 18446744073709551615]",
                  (struct json_style){0}, "[1e+30, -9.223372036854776e+18, 1.8446744073709552e+19]");
    assert_prints("[9223372036854775807, -9223372036854775808]", (struct json_style){0},
                  "[9223372036854775807, -9223372036854775808]");
    assert_prints("\"\\ud800\"", (struct json_style){.ascii = true}, "\"\\ufffd\"");
    assert_prints("\"\\udc00\\ud800\\u0041\\ud83d\\ude00\\ud800\\\\u\"", (struct json_style){.ascii = true},
                  "\"\\ufffd\\ufffdA\\ud83d\\ude00\\ufffd\\\\u\"");
    assert_prints("\"\\udc00\\udc00\"", (struct json_style){.ascii = true}, "\"\\ufffd\\ufffd\"");
    assert_prints("\"\\\\ud800 NaN \\\" Infinity 99999999999999999999\"", (struct json_style){0},
                  "\"\\\\ud800 NaN \\\" Infinity 99999999999999999999\"");
    assert_prints("{\"a\": 1, \"a\": 2}", (struct json_style){0}, "{\"a\": 2}");
    json_t *value;
    assert_int_equal(json_read_unique(&memory, "{\"a\": 1, \"a\": 2}", 16, "t", &value, &err), LORAC_FORMAT);
    assert_prints("\"a\\u0000b\"", (struct json_style){0}, "\"a\\u0000b\"");
}

static void test_integers_of_any_length(void **state)
{
    char text[1002] = "-";
    memset(text + 1, '9', 1000);
    assert_prints(text, (struct json_style){0}, "-Infinity");
    assert_prints(text + 1, (struct json_style){0}, "Infinity");
    text[300] = 0;
    assert_prints(text + 1, (struct json_style){0}, "1e+299");
}

static void test_refuses_damage(void **state)
{
    const char *bad[] = {"",
                         " ",
                         "[",
                         "[1,]",
                         "{\"a\"}",
                         "nul",
                         "NaNx",
                         "1NaN",
                         "-NaN",
                         "+1",
                         "01",
                         "1.",
                         ".5",
                         "[1] 2",
                         "\"",
                         "\"\\",
                         "\"\\u12\"",
                         "\"\\uD8",
                         "'a'",
                         "--1",
                         "1e",
                         "\"\t\"",
                         "\"\xFF\"",
                         "{1: 2}",
                         "- 1",
                         "[Infinity1]",
                         "1Infinity",
                         "\"\\x\"",
                         "Inf",
                         "\xEF\xBB",
                         "[\"\xED\xA0\x80\"]",
                         "99999999999999999999.5.5"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) assert_refused(bad[i], strlen(bad[i]), "is no valid JSON");
    assert_refused("[1,\n2,\nx]", 9, "line 3");
    assert_refused("1\0002", 3, "is no valid JSON");
}

static void test_depth_is_capped(void **state)
{
    char text[2000];
    memset(text, '[', 512);
    memset(text + 512, ']', 512);
    text[1024] = 0;
    json_decref(read_text(text));
    memset(text, '[', 513);
    assert_refused(text, 1024, "512 levels");
    memset(text, '[', sizeof text);
    assert_refused(text, sizeof text, "512 levels");
}

static void test_files_are_capped(void **state)
{
    json_t *value;
    FILE *f = fopen("test_json.tmp", "w");
    fputs("{\"a\": [1, 2]}", f);
    fclose(f);
    assert_int_equal(json_read_file(&memory, "test_json.tmp", 100, &value, &err), LORAC_OK);
    assert_int_equal(json_array_size(json_object_get(value, "a")), 2);
    json_decref(value);
    assert_int_equal(json_read_file(&memory, "test_json.tmp", 5, &value, &err), LORAC_FORMAT);
    remove("test_json.tmp");
    assert_int_equal(json_read_file(&memory, "test_json.tmp", 5, &value, &err), LORAC_NOT_FOUND);
}

/* ---- printing ---------------------------------------------------------------------------- */

static const struct {
    double value;
    const char *expected;
} numbers[] = {
    {0.1, "0.1"},
    {1e-05, "1e-05"},
    {0.0001, "0.0001"},
    {0.00012345, "0.00012345"},
    {2.0, "2.0"},
    {-0.0, "-0.0"},
    {0.0, "0.0"},
    {100.0, "100.0"},
    {123456789012345680.0, "1.2345678901234568e+17"},
    {1e15, "1000000000000000.0"},
    {9999999999999998.0, "9999999999999998.0"},
    {1e16, "1e+16"},
    {1e22, "1e+22"},
    {1e100, "1e+100"},
    {1.5e-7, "1.5e-07"},
    {1.0 / 3, "0.3333333333333333"},
    {2.0 / 3, "0.6666666666666666"},
    {0.1 + 0.2, "0.30000000000000004"},
    {-123.456, "-123.456"},
    {5e-324, "5e-324"},
    {2.2250738585072014e-308, "2.2250738585072014e-308"},
    {1.7976931348623157e308, "1.7976931348623157e+308"},
    {0x1p-957, "8.209073602596753e-289"}, /* its nearest 16 digits read back as the neighbour */
    {0x1p-44, "5.684341886080802e-14"},
};

static void check_numbers(void)
{
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        struct text out = {.memory = &memory};
        json_print_number(&out, numbers[i].value);
        assert_string_equal(out.data, numbers[i].expected);
        text_free(&out);
    }
}

static void test_numbers_print_as_repr(void **state)
{
    check_numbers();
}

static void test_numbers_ignore_the_locale(void **state)
{
    const char *names[] = {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "ru_RU.UTF-8"};
    bool found = false;
    for (size_t i = 0; i < sizeof names / sizeof *names && !found; i++) found = setlocale(LC_ALL, names[i]) != NULL;
    if (!found) {
        print_message("no locale with a decimal comma is installed\n");
        skip();
    }
    check_numbers();
    assert_prints("[0.5, 1e-05, Infinity]", (struct json_style){0}, "[0.5, 1e-05, Infinity]");
    setlocale(LC_ALL, "C");
}

static void test_random_numbers_read_back(void **state)
{
    uint64_t bits = 88172645463325252u;
    for (int i = 0; i < 20000; i++) {
        bits ^= bits << 13, bits ^= bits >> 7, bits ^= bits << 17; /* xorshift64 */
        double value;
        memcpy(&value, &bits, sizeof value);
        if (!isfinite(value)) continue;
        struct text out = {.memory = &memory};
        json_print_number(&out, value);
        if (strtod(out.data, NULL) != value || out.length > 24) fail_msg("%a prints as %s", value, out.data);
        text_free(&out);
    }
}

static void test_styles(void **state)
{
    const char *text = "{\"b\": [1, {}, []], \"a\": \"\xC3\xA9\xF0\x9F\x98\x80\\n\\u0001/\\u007f\", \"c\": null}";
    assert_prints(text, (struct json_style){0},
                  "{\"b\": [1, {}, []], \"a\": \"\xC3\xA9\xF0\x9F\x98\x80\\n\\u0001/\x7F\", \"c\": null}");
    assert_prints(text, (struct json_style){.sort_keys = true, .ascii = true, .compact = true},
                  "{\"a\":\"\\u00e9\\ud83d\\ude00\\n\\u0001/\\u007f\",\"b\":[1,{},[]],\"c\":null}");
    assert_prints("{\"b\": [1, {}], \"a\": true}", (struct json_style){.indent = 2},
                  "{\n  \"b\": [\n    1,\n    {}\n  ],\n  \"a\": true\n}");
}

static void test_printing_without_memory_fails_quietly(void **state)
{
    struct memory small = {.limit = 200};
    struct text out = {.memory = &small};
    json_t *value = read_text("{\"key\": [1, 2, 3, 4, 5, 6, 7, 8, 9, \"0123456789012345678901234567890123456789\"]}");
    json_print(&out, value, (struct json_style){0});
    assert_true(out.failed);
    text_free(&out);
    json_decref(value);
    assert_int_equal(small.used, 0);
}

/* ---- typed fields ------------------------------------------------------------------------ */

static void test_fields(void **state)
{
    json_t *o = read_text("{\"n\": 3, \"w\": 2.0, \"x\": 0.5, \"neg\": -1, \"t\": true, \"s\": \"hi\", \"z\": null, "
                          "\"big\": 1e300, \"nan\": NaN, \"nul\": \"a\\u0000\"}");
    size_t size;
    double real;
    bool flag;
    const char *text;
    assert_int_equal(json_get_size(o, "n", 9, &size, "f", &err), LORAC_OK);
    assert_int_equal(size, 3);
    assert_int_equal(json_get_size(o, "w", 9, &size, "f", &err), LORAC_OK);
    assert_int_equal(size, 2);
    const char *missing[] = {"none", "z"};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(json_get_size(o, missing[i], 9, &size, "f", &err), LORAC_OK);
        assert_int_equal(size, 9);
        assert_int_equal(json_get_text(o, missing[i], NULL, &text, "f", &err), LORAC_OK);
        assert_null(text);
    }
    const char *no_size[] = {"x", "neg", "t", "s", "big", "nan"};
    for (int i = 0; i < 6; i++) {
        assert_int_equal(json_get_size(o, no_size[i], 9, &size, "f.json", &err), LORAC_FORMAT);
        assert_non_null(strstr(err.message, no_size[i]));
        assert_non_null(strstr(err.message, "f.json"));
    }
    assert_int_equal(json_get_float(o, "n", 0, &real, "f", &err), LORAC_OK);
    assert_true(real == 3);
    assert_int_equal(json_get_float(o, "nan", 0, &real, "f", &err), LORAC_OK);
    assert_true(isnan(real));
    assert_int_equal(json_get_float(o, "t", 0, &real, "f", &err), LORAC_FORMAT);
    assert_string_equal(err.message, "f: \"t\" should be a number and is true");
    assert_int_equal(json_get_bool(o, "t", false, &flag, "f", &err), LORAC_OK);
    assert_true(flag);
    assert_int_equal(json_get_bool(o, "n", false, &flag, "f", &err), LORAC_FORMAT);
    assert_int_equal(json_get_text(o, "s", "", &text, "f", &err), LORAC_OK);
    assert_string_equal(text, "hi");
    assert_int_equal(json_get_text(o, "n", "", &text, "f", &err), LORAC_FORMAT);
    assert_int_equal(json_get_text(o, "nul", "", &text, "f", &err), LORAC_FORMAT);
    json_decref(o);
}

#define balanced(test) cmocka_unit_test_teardown(test, nothing_left)

int main(void)
{
    const struct CMUnitTest tests[] = {
        balanced(test_reads_what_jansson_refuses),
        balanced(test_integers_of_any_length),
        balanced(test_refuses_damage),
        balanced(test_depth_is_capped),
        balanced(test_files_are_capped),
        balanced(test_numbers_print_as_repr),
        balanced(test_numbers_ignore_the_locale),
        balanced(test_random_numbers_read_back),
        balanced(test_styles),
        balanced(test_printing_without_memory_fails_quietly),
        balanced(test_fields),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
