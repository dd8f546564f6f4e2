/* test_template.c — chat templates against renderings of jinja2 in transformers' environment
 * (tests/golden/templates/cases.json, made by tools/golden_templates.py), and the interpreter's limits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/os.h"
#include "text/template_impl.h" /* before cmocka, whose fail() is a macro */
#include <cmocka.h>

static const char *text_field(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

/* Renders; `out` is freed by the caller. */
static lorac_status render_marked(struct memory *m, const char *source, size_t length, json_t *variables,
                                  struct text *out, struct list *spans, lorac_error *err)
{
    struct chat_template *t = NULL;
    lorac_status status = template_parse(m, source, length, "template", &t, err);
    if (status == LORAC_OK) status = template_render(t, variables, out, spans, err);
    template_free(t);
    return status;
}

static lorac_status render(struct memory *m, const char *source, size_t length, json_t *variables, struct text *out,
                           lorac_error *err)
{
    return render_marked(m, source, length, variables, out, NULL, err);
}

static bool spans_equal(const struct list *spans, const json_t *wanted)
{
    const struct text_span *s = spans->items;
    bool same = spans->count == json_array_size(wanted);
    for (size_t i = 0; same && i < spans->count; i++) {
        const json_t *one = json_array_get(wanted, i);
        same = s[i].from == (size_t)json_integer_value(json_array_get(one, 0)) &&
               s[i].to == (size_t)json_integer_value(json_array_get(one, 1));
    }
    return same;
}

/* 1 if lorac and the reference differ. */
static int check_case(const json_t *one, const json_t *templates, const json_t *variables)
{
    struct memory m = {0};
    struct text out = {.memory = &m};
    struct list spans = {.memory = &m, .size = sizeof(struct text_span)};
    lorac_error err = {0};
    const json_t *source = json_object_get(one, "template"), *given = json_object_get(one, "variables");
    if (json_is_integer(source)) source = json_array_get(templates, json_integer_value(source));
    if (json_is_integer(given)) given = json_array_get(variables, json_integer_value(given));
    lorac_status status =
        render_marked(&m, json_string_value(source), json_string_length(source), (json_t *)given, &out, &spans, &err);
    const json_t *text = json_object_get(one, "text");
    const char *error = text_field(one, "error"), *raised = text_field(one, "raised");
    int bad = 0;
    if (text)
        bad = status != LORAC_OK || out.length != json_string_length(text) ||
              (out.length && memcmp(out.data, json_string_value(text), out.length)) ||
              !spans_equal(&spans, json_object_get(one, "generation"));
    else
        bad = status == LORAC_OK || out.length || (raised && !strstr(err.message, raised)) ||
              !strstr(err.message, "line ");
    if (bad)
        print_error("template: %s\n  reference: %s%s\n  lorac:     %s%s\n", json_string_value(source),
                    text ? "" : "error: ", text ? json_string_value(text) : error, status ? "error: " : "",
                    status     ? err.message
                    : out.data ? out.data
                               : "");
    text_free(&out);
    list_free(&spans);
    if (m.used) print_error("%zu bytes stay allocated\n", m.used);
    return bad || m.used;
}

static json_t *load(struct memory *m, const char *path)
{
    json_t *value = NULL;
    lorac_error err = {0};
    if (json_read_file(m, path, (size_t)64 << 20, &value, &err)) fail_msg("%s", err.message);
    return value;
}

static void goldens(void **state)
{
    struct memory m = {0};
    json_t *file = load(&m, TEST_DATA "/templates/cases.json"), *cases = json_object_get(file, "cases");
    int bad = 0;
    for (size_t i = 0; i < json_array_size(cases); i++)
        bad += check_case(json_array_get(cases, i), json_object_get(file, "templates"),
                          json_object_get(file, "variables"));
    print_message("%zu renderings of jinja2 %s (transformers %s), %d differ\n", json_array_size(cases),
                  text_field(file, "jinja2"), text_field(file, "transformers"), bad);
    assert_true(json_array_size(cases) >= 300);
    assert_int_equal(bad, 0);
    json_decref(file);
}

static void dates(void **state)
{
    struct memory m = {0};
    json_t *file = load(&m, TEST_DATA "/templates/cases.json"), *list = json_object_get(file, "dates");
    assert_true(json_array_size(list) > 0);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *one = json_array_get(list, i);
        struct text t = {.memory = &m};
        time_t seconds = json_integer_value(json_object_get(one, "utc"));
        struct tm when;
        gmtime_r(&seconds, &when);
        const char *format = text_field(one, "format");
        assert_true(format_time(&t, (struct str){format, strlen(format)}, &when, 1234));
        assert_string_equal(t.data ? t.data : "", text_field(one, "text"));
        text_free(&t);
    }
    json_decref(file);
}

/* ---- limits ------------------------------------------------------------------------------ */

/* The template must end with this status and, if `says` is given, with a message that holds it. */
static void refuses(const char *source, lorac_status status, const char *says)
{
    struct memory m = {0};
    struct text out = {.memory = &m};
    lorac_error err = {0};
    json_t *none = json_object();
    lorac_status found = render(&m, source, strlen(source), none, &out, &err);
    if (found != status || (says && !strstr(err.message, says))) fail_msg("%.200s: %s", source, err.message);
    assert_int_equal(out.length, 0);
    text_free(&out);
    json_decref(none);
    assert_int_equal(m.used, 0);
}

static void hostile(void **state)
{
    refuses("{% for a in range(100000) %}{% for b in range(100000) %}{% if 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 == 9 %}{% "
            "endif %}{% endfor %}{% endfor %}",
            LORAC_UNSUPPORTED, "steps");
    refuses("{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}", LORAC_OUT_OF_MEMORY,
            "MiB");
    refuses("{{ (-8) ** 0.5 }}", LORAC_UNSUPPORTED, "complex");
    refuses("{{ range(100001) }}", LORAC_UNSUPPORTED, "range");
    refuses("{{ 'x' * 100000000 }}", LORAC_UNSUPPORTED, "MiB");
    refuses("{% set n = namespace(s='xxxxxxxx') %}{% for i in range(60) %}{% set n.s = n.s + n.s %}{% endfor %}",
            LORAC_OUT_OF_MEMORY, "MiB");
    refuses("{% set n = namespace(s='xxxxxxxxxxxxxxxx' * 65536) %}{% for i in range(100) %}{{ n.s }}{% endfor %}",
            LORAC_UNSUPPORTED, "output");
    refuses("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", LORAC_UNSUPPORTED, "nests");
    refuses("{% set n = namespace(x=[]) %}{% for i in range(5000) %}{% set n.x = [n.x] %}{% endfor %}{{ n.x }}",
            LORAC_UNSUPPORTED, "nests");
    refuses("{% set n = namespace(x=[], y=[]) %}{% for i in range(5000) %}{% set n.x = [n.x] %}{% set n.y = [n.y] %}{% "
            "endfor %}{{ n.x == n.y }}",
            LORAC_UNSUPPORTED, "nest");
    refuses("{% set n = namespace(x={}) %}{% for i in range(5000) %}{% set n.x = {'a': n.x} %}{% endfor %}{{ n.x | "
            "tojson }}",
            LORAC_UNSUPPORTED, "nests");
    refuses("{% set n = namespace() %}{% set n.n = n %}{{ n }}", LORAC_UNSUPPORTED, "nests");
    refuses("{{ 9223372036854775807 + 1 }}", LORAC_UNSUPPORTED, "64 bits");
    refuses("{{ 9223372036854775808 }}", LORAC_UNSUPPORTED, "64 bits");
    refuses("{{ (-9223372036854775807 - 1) // -1 }}", LORAC_UNSUPPORTED, "64 bits");
    refuses("a\n{{ x | nonsense }}", LORAC_UNSUPPORTED, "line 2: lorac does not know the filter 'nonsense'");
    refuses("a\n\n{{ x is nonsense }}", LORAC_UNSUPPORTED, "line 3: lorac does not know the test 'nonsense'");
    refuses("a\n{{ [3] | random }}", LORAC_UNSUPPORTED, "line 2: the filter 'random' gives another text each time");
    refuses("a\n{% nonsense %}", LORAC_UNSUPPORTED, "line 2: lorac does not know the tag 'nonsense'");
    refuses("{% for x in y %}", LORAC_FORMAT, "endfor");
    refuses("\xff", LORAC_FORMAT, "UTF-8");
}

/* Time is bounded besides steps. */
static void slow(void **state)
{
    static const char source[] = "{% for a in range(99999) %}{{ a }}{% endfor %}";
    struct memory m = {0};
    struct chat_template *t = NULL;
    struct text out = {.memory = &m};
    lorac_error err = {0};
    json_t *none = json_object();
    assert_int_equal(template_parse(&m, source, sizeof source - 1, "template", &t, &err), LORAC_OK);
    assert_int_equal(template_render_within(t, 0, none, &out, NULL, &err), LORAC_UNSUPPORTED);
    assert_non_null(strstr(err.message, "seconds"));
    assert_int_equal(out.length, 0);
    assert_int_equal(template_render(t, none, &out, NULL, &err), LORAC_OK);
    text_free(&out);
    template_free(t);
    json_decref(none);
    assert_int_equal(m.used, 0);
}

/* Nested brackets, operators and blocks, each a hundred thousand times. */
static void nested(void **state)
{
    static const char *const parts[] = {"(",      "[",          "{1:",          "-",           "not ", "1+",
                                        "a.b|c(", "{% if 1 %}", "{% for a in ", "a if b else "};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        size_t n = strlen(parts[i]), count = 100000;
        char *source = malloc(n * count + 4);
        memcpy(source, "{{ ", 3);
        size_t at = parts[i][0] == '{' && parts[i][1] == '%' ? 0 : 3;
        for (size_t k = 0; k < count; k++, at += n) memcpy(source + at, parts[i], n);
        struct memory m = {0};
        struct text out = {.memory = &m};
        json_t *none = json_object();
        assert_int_not_equal(render(&m, source, at, none, &out, NULL), LORAC_OK);
        assert_int_equal(m.used, 0);
        json_decref(none);
        free(source);
    }
}

/* A budget refuses an allocation at each place in turn: an error, no leak. */
static void little_memory(void **state)
{
    static const char source[] =
        "{% macro f(a, b=2) %}{{ a ~ b }}{% endmacro %}{% set x %}{{ f(1) }}{% endset %}"
        "{% for m in [1, 2.5, 'x', {'a': [1]}] %}{{ m | tojson }}{{ [m] | string | upper }}{% endfor %}{{ x * 1000 }}";
    json_t *none = json_object();
    lorac_status status = LORAC_OUT_OF_MEMORY;
    for (size_t limit = 512; status == LORAC_OUT_OF_MEMORY && limit < 1 << 20; limit += 512) {
        struct memory m = {.limit = limit};
        struct text out = {.memory = &m};
        status = render(&m, source, sizeof source - 1, none, &out, NULL);
        text_free(&out);
        assert_int_equal(m.used, 0);
    }
    assert_int_equal(status, LORAC_OK);
    json_decref(none);
}

/* Text goes to the end of what is there; an error takes back its own part only. */
static void appends(void **state)
{
    struct memory m = {0};
    struct text out = {.memory = &m};
    json_t *none = json_object();
    text_puts(&out, "before ");
    assert_int_equal(render(&m, "after", 5, none, &out, NULL), LORAC_OK);
    assert_string_equal(out.data, "before after");
    assert_int_equal(render(&m, "x{{ a.b }}", 10, none, &out, NULL), LORAC_FORMAT);
    assert_string_equal(out.data, "before after");
    text_free(&out);
    json_decref(none);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(goldens),       cmocka_unit_test(dates),   cmocka_unit_test(hostile), cmocka_unit_test(nested),
        cmocka_unit_test(little_memory), cmocka_unit_test(appends), cmocka_unit_test(slow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
