/* inspect.c — `lorac inspect`: what a file or folder is. */
#include "common.h"
#include "json_out.h"
#include "terminal.h"

#include <stdlib.h>
#include <string.h>

struct inspect {
    struct common common;
};

static const struct option option_table[] = {
    SECTION("Model"), MODEL_OPTIONS(struct inspect), SECTION("Output"), JSON_OPTION(struct inspect), OPTIONS_END,
};

/* "weight_bytes" reads better as "weight bytes"; names of types ("Q4_1") stay. */
static void print_key(const char *key, int depth)
{
    bool name = *key >= 'A' && *key <= 'Z';
    printf("%*s", 2 * depth, "");
    for (; *key; key++) putchar(*key == '_' && !name ? ' ' : *key);
    putchar(':');
}

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), wanted = strlen(end);
    return length >= wanted && !strcmp(text + length - wanted, end);
}

/* The first line of a long text, such as a chat template, and how much there is. */
static void print_text(const char *text)
{
    enum { SHOWN = 80 };
    size_t line = strcspn(text, "\n"), length = strlen(text);
    if (length <= SHOWN && line == length) {
        printf(" %s\n", text);
        return;
    }
    size_t shown = line < SHOWN ? line : SHOWN;
    while (shown && ((unsigned char)text[shown] & 0xC0) == 0x80) shown--;
    printf(" %.*s… (%zu bytes)\n", (int)shown, text, length);
}

static void print_scalar(const char *key, const json_t *value)
{
    char number[32];
    if (json_is_string(value))
        print_text(json_string_value(value));
    else if (json_is_integer(value) && (ends_with(key, "bytes") || !strcmp(key, "size")))
        printf(" %s\n", format_bytes(number, sizeof number, (double)json_integer_value(value)));
    else {
        char *line = json_line(value);
        printf(" %s\n", line ? line : "");
        free(line);
    }
}

static bool is_flat(const json_t *array)
{
    size_t i;
    json_t *item;
    json_array_foreach(array, i, item) if (json_is_object(item) || json_is_array(item)) return false;
    return true;
}

static void print_object(json_t *object, int depth);

static void print_value(const char *key, json_t *value, int depth)
{
    enum { LISTED = 16 };
    size_t i;
    json_t *item;
    print_key(key, depth);
    if (json_is_object(value)) {
        putchar('\n');
        print_object(value, depth + 1);
    } else if (json_is_array(value) && !is_flat(value)) {
        putchar('\n');
        json_array_foreach(value, i, item)
        {
            char *line = i < LISTED ? json_line(item) : NULL;
            if (line) printf("%*s%s\n", 2 * depth + 2, "", line);
            free(line);
        }
        if (i > LISTED) printf("%*s… (%zu in all)\n", 2 * depth + 2, "", i);
    } else
        print_scalar(key, value);
}

static void print_object(json_t *object, int depth)
{
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value) print_value(key, value, depth);
}

static int print_description(const struct inspect *i, const char *text, const char *path)
{
    json_error_t bad;
    json_t *value = json_loads(text, JSON_ALLOW_NUL, &bad);
    if (!json_is_object(value)) {
        json_decref(value);
        return fail_status(i->common.json, LORAC_FORMAT, path, "%s: its description is not JSON: %s", path, bad.text);
    }
    if (i->common.json) {
        json_print_line(stdout, value);
        return 0;
    }
    print_object(value, 0);
    json_decref(value);
    return 0;
}

static int run(struct arguments *a)
{
    const struct inspect *i = a->values;
    char buffer[4096];
    const char *path = a->rest.count ? a->rest.items[0] : model_path(&i->common, buffer, sizeof buffer);
    struct engine e;
    lorac_error err;
    char *text;
    if (!path) return 1;
    int status = engine_open(&e, &i->common, OPEN_RUNTIME);
    if (!status && lorac_inspect(e.runtime, path, &text, &err))
        status = fail_error(i->common.json, &err);
    else if (!status) {
        status = print_description(i, text, path);
        lorac_free(text);
    }
    engine_close(&e);
    return status;
}

const struct command command_inspect = {
    .name = "inspect",
    .summary = "say what a file or folder is: a model, an adapter, a tokenizer",
    .details = "Without an argument, the model is described.",
    .positional = "[FILE|DIR]",
    .positional_most = 1,
    .examples = "  lorac inspect model.gguf\n  lorac inspect adapters --json\n",
    .options = option_table,
    .values_size = sizeof(struct inspect),
    .run = run,
};
