/* render_templates.c — renders chat templates for tools/judge_templates.py and tools/fuzz_templates.py.
 *
 * A line of standard input is {"template": text, "variables": object}, or {"variables": object} for the template of
 * the line before. A line of standard output is {"text", "generation": [[from, to], …]}, in bytes, or {"error"}. */
#include "base/json.h"
#include "text/template.h"

#include <stdio.h>
#include <stdlib.h>

static void print_text(struct memory *m, json_t *object)
{
    struct text line = {.memory = m};
    json_print(&line, object, (struct json_style){.compact = true});
    printf("%s\n", line.failed ? "{\"error\":\"no memory\"}" : line.data);
    fflush(stdout);
    text_free(&line);
    json_decref(object);
}

static json_t *spans_to_json(const struct list *spans)
{
    json_t *list = json_array();
    for (size_t i = 0; i < spans->count; i++) {
        const struct text_span *s = (const struct text_span *)spans->items + i;
        json_array_append_new(list, json_pack("[I,I]", (json_int_t)s->from, (json_int_t)s->to));
    }
    return list;
}

static void render(struct memory *m, const struct chat_template *t, json_t *variables)
{
    struct text out = {.memory = m};
    struct list spans = {.memory = m, .size = sizeof(struct text_span)};
    lorac_error err = {0};
    json_t *result;
    if (template_render(t, variables, &out, &spans, &err) == LORAC_OK)
        result = json_pack("{s:o,s:o}", "text", json_stringn(out.data ? out.data : "", out.length), "generation",
                           spans_to_json(&spans));
    else
        result = json_pack("{s:s,s:i}", "error", err.message, "status", (int)err.status);
    print_text(m, result);
    text_free(&out);
    list_free(&spans);
}

static void answer(struct memory *m, json_t *request, struct chat_template **t)
{
    const json_t *source = json_object_get(request, "template");
    lorac_error err = {0};
    if (source) {
        template_free(*t);
        *t = NULL;
        if (template_parse(m, json_string_value(source), json_string_length(source), "template", t, &err) != LORAC_OK)
            *t = NULL;
    }
    if (*t)
        render(m, *t, json_object_get(request, "variables"));
    else
        print_text(m, json_pack("{s:s,s:i}", "error", *err.message ? err.message : "the template does not parse",
                                "status", (int)err.status));
}

int main(void)
{
    struct memory m = {0};
    struct chat_template *t = NULL;
    char *line = NULL;
    size_t capacity = 0;
    ssize_t length;
    while ((length = getline(&line, &capacity, stdin)) > 0) {
        json_t *request;
        lorac_error err;
        if (json_read(&m, line, (size_t)length, "request", &request, &err) != LORAC_OK) {
            print_text(&m, json_pack("{s:s}", "error", err.message));
            continue;
        }
        answer(&m, request, &t);
        json_decref(request);
    }
    template_free(t);
    free(line);
    if (m.used) fprintf(stderr, "%zu bytes stay allocated\n", m.used);
    return m.used ? 1 : 0;
}
