/* test_gguf_draft.c — drafts of GGUF files: what is read of them before they are written and after, and what they
 * refuse. */
#include "file/gguf_draft.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct memory memory;
static lorac_error err;
static char path[64];

static int name_file(void **state)
{
    snprintf(path, sizeof path, "/tmp/lorac-draft-%ld.gguf", (long)getpid());
    return 0;
}

static int nothing_left(void **state)
{
    unlink(path);
    return memory.used ? -1 : 0;
}

/* ---- there and back ------------------------------------------------------------------------ */

enum { ROWS = 3, COLS = 5 };

static void put_all(struct gguf_draft *d)
{
    const int32_t types[] = {1, -2, 3};
    struct text strings = {.memory = &memory};
    gguf_add_string(&strings, "a", 1);
    gguf_add_string(&strings, "", 0);
    gguf_add_string(&strings, "\xC3\xA9 b", 4);
    gguf_draft_init(d, &memory, "draft");
    gguf_put_size(d, "small", 7);
    gguf_put_size(d, "large", (size_t)1 << 40);
    gguf_put_float(d, "number", 0.1);
    gguf_put_bool(d, "yes", true);
    gguf_put_text(d, "text", "\xE4\xBD\xA0");
    gguf_put_array(d, "strings", GGUF_STRING, 3, strings.data, strings.length);
    gguf_put_array(d, "integers", GGUF_I32, 3, types, sizeof types);
    text_free(&strings);
    assert_int_equal(gguf_put_tensor(d, "vector", 0, 1, (size_t[]){ROWS}), 0);
    assert_int_equal(gguf_put_tensor(d, "matrix", 1, 2, (size_t[]){COLS, ROWS}), 1);
    assert_int_equal(gguf_put_tensor(d, "blocks", 8, 2, (size_t[]){64, 2}), 2);
}

static void check_all(const struct gguf *g)
{
    size_t size, at = 0;
    double number;
    bool yes;
    char *text;
    struct gguf_string s;
    assert_int_equal(gguf_get_size(g, "small", 0, &size, &err), LORAC_OK);
    assert_int_equal(size, 7);
    assert_int_equal(gguf_get_size(g, "large", 0, &size, &err), LORAC_OK);
    assert_true(size == (size_t)1 << 40);
    assert_int_equal(gguf_get_float(g, "number", 0, &number, &err), LORAC_OK);
    assert_true(number == (double)0.1f);
    assert_int_equal(gguf_get_bool(g, "yes", false, &yes, &err), LORAC_OK);
    assert_true(yes);
    assert_int_equal(gguf_get_text(g, "text", &text, &err), LORAC_OK);
    assert_string_equal(text, "\xE4\xBD\xA0");
    mem_free(&memory, text);
    const struct gguf_value *strings = gguf_find(g, "strings"), *integers = gguf_find(g, "integers");
    assert_int_equal(strings->as.array.count, 3);
    while (gguf_next_string(strings, &at, &s)) assert_true(s.length == 1 || s.length == 0 || s.length == 4);
    assert_true(gguf_number(integers, 1) == -2);
    assert_int_equal(gguf_find_tensor(g, "matrix")->bytes, 2 * ROWS * COLS);
    assert_int_equal(gguf_find_tensor(g, "blocks")->bytes, 2 * 2 * 34);
}

static void there_and_back(void **state)
{
    struct gguf_draft d;
    struct tensor_writer w;
    struct gguf g;
    uint8_t matrix[2 * ROWS * COLS];
    put_all(&d);
    assert_int_equal(gguf_draft_check(&d, &err), LORAC_OK);
    check_all(&d.gguf);
    for (size_t i = 0; i < sizeof matrix; i++) matrix[i] = (uint8_t)(i + 1);
    if (gguf_writer_open(&d, path, &w, &err) != LORAC_OK) fail_msg("%s", err.message);
    tensor_writer_put(&w, 1, 0, matrix, sizeof matrix);
    if (tensor_writer_commit(&w, &err) != LORAC_OK) fail_msg("%s", err.message);
    gguf_draft_free(&d);
    if (gguf_open(&memory, path, true, &g, &err) != LORAC_OK) fail_msg("%s", err.message);
    check_all(&g);
    assert_memory_equal(gguf_find_tensor(&g, "matrix")->data, matrix, sizeof matrix);
    assert_int_equal(g.files[0].size % 32, 0);
    gguf_close(&g);
}

/* ---- what is refused ------------------------------------------------------------------------- */

static void refuse(struct gguf_draft *d, const char *part)
{
    struct tensor_writer w;
    assert_int_not_equal(gguf_writer_open(d, path, &w, &err), LORAC_OK);
    if (!strstr(err.message, part)) fail_msg("\"%s\" lacks \"%s\"", err.message, part);
    assert_int_not_equal(access(path, F_OK), 0);
    gguf_draft_free(d);
}

static void names(void **state)
{
    struct gguf_draft d;
    put_all(&d);
    gguf_put_bool(&d, "yes", false);
    refuse(&d, "stands there twice");
    put_all(&d);
    gguf_put_tensor(&d, "vector", 0, 1, (size_t[]){1});
    refuse(&d, "stands there twice");
    put_all(&d);
    gguf_put_text(&d, "\xFF", "");
    refuse(&d, "not UTF-8");
    put_all(&d);
    gguf_put_tensor(&d, "", 0, 1, (size_t[]){1});
    refuse(&d, "empty");
}

static void sizes(void **state)
{
    static const struct {
        uint32_t type;
        size_t dims, shape[5];
    } bad[] = {{0, 2, {SIZE_MAX, 2}}, {0, 2, {SIZE_MAX / 4, 2}}, {8, 1, {33}},
               {0, 0, {1}},           {0, 5, {1, 1, 1, 1, 1}},   {99, 1, {1}}};
    struct gguf_draft d;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        put_all(&d);
        gguf_put_tensor(&d, "bad", bad[i].type, bad[i].dims, bad[i].shape);
        refuse(&d, "do not fit");
    }
    put_all(&d);
    for (int i = 0; i < 4; i++)
        gguf_put_tensor(&d, (char[]){'t', (char)('0' + i), 0}, 0, 2, (size_t[]){(size_t)1 << 30, (size_t)1 << 29});
    refuse(&d, "too large for one file");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(there_and_back, name_file, nothing_left),
                                       cmocka_unit_test_setup_teardown(names, name_file, nothing_left),
                                       cmocka_unit_test_setup_teardown(sizes, name_file, nothing_left)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
