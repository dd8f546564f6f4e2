/* adapter.c — `lorac adapter`: adapters as files: shown, compared, and in other programs' formats. */
#include "common.h"
#include "json_out.h"
#include "terminal.h"
#include <lorac/adapter_file.h>

#include <stdlib.h>
#include <string.h>

struct adapter {
    struct common common;
    const char *out, *format;
    bool force;
    int dtype;
};

#define FORMATS "peft or mlx, a folder, or gguf, a file"

static const char *const dtypes[] = {NULL, "float32", "float16", "bfloat16"};

static const struct option option_table[] = {
    SECTION("Adapter"),
    OPTION(LIST, struct adapter, common.adapters, "adapter-path", .aliases = "adapter-file", .value = "PATH",
           .help = "an adapter, as an argument behind the action is"),
    OPTION(TEXT, struct adapter, common.model, "model", .aliases = "hf-path", .value = "PATH",
           .help = "the base: a model's folder, of which config.json is read, or a GGUF; needed where names or rows "
                   "depend on it"),
    SECTION("export, import"),
    OPTION(TEXT, struct adapter, format, "format", .value = "FORMAT", .help = "export: " FORMATS),
    OPTION(TEXT, struct adapter, out, "out", .aliases = "save-path", .value = "PATH",
           .help = "what to write; it must not be there"),
    OPTION(CHOICE, struct adapter, dtype, "dtype", .value = "TYPE", .choices = "auto|float32|float16|bfloat16",
           .fallback = "auto", .help = "the type of the numbers; auto: as they are, float32 in a GGUF"),
    OPTION(FLAG, struct adapter, force, "force", .help = "replace an adapter that is there"),
    SECTION("Output"),
    JSON_OPTION(struct adapter),
    OPTIONS_END,
};

/* The result of a call as JSON; takes over `text`. NULL after a reported failure. */
static json_t *result(const struct adapter *v, lorac_status failed, char *text, const lorac_error *err, int *status)
{
    json_error_t bad;
    if (failed) {
        *status = failed == LORAC_INVALID_ARGUMENT && !*err->file ? fail_usage(v->common.json, "%s", err->message)
                                                                  : fail_error(v->common.json, err);
        return NULL;
    }
    json_t *value = json_loads(text, JSON_ALLOW_NUL, &bad);
    lorac_free(text);
    if (!value) *status = fail_status(v->common.json, LORAC_FORMAT, "", "the result is not JSON: %s", bad.text);
    return value;
}

/* ---- show ----------------------------------------------------------------------------------- */

static double real(const json_t *object, const char *key)
{
    return json_number_value(json_object_get(object, key));
}

static long whole(const json_t *object, const char *key)
{
    return (long)json_integer_value(json_object_get(object, key));
}

static void print_facts(const json_t *o)
{
    const char *key;
    json_t *value;
    char size[32];
    json_object_foreach((json_t *)(uintptr_t)o, key, value)
    {
        char *line = strcmp(key, "modules") ? json_line(value) : NULL;
        if (!line) continue;
        for (const char *c = key; *c; c++) putchar(*c == '_' ? ' ' : *c);
        if (!strcmp(key, "bytes"))
            printf(": %s\n", format_bytes(size, sizeof size, json_number_value(value)));
        else
            printf(": %s\n", json_is_string(value) ? json_string_value(value) : line);
        free(line);
    }
}

static void print_modules(const json_t *modules)
{
    size_t i;
    json_t *m;
    printf("%-48s %5s %14s %10s %12s\n", "module", "rank", "shape", "scale", "norm");
    json_array_foreach(modules, i, m)
    {
        char shape[32];
        snprintf(shape, sizeof shape, "%ld x %ld", whole(m, "out"), whole(m, "in"));
        printf("%-48s %5ld %14s %10.6g %12.6g\n", json_string_value(json_object_get(m, "name")), whole(m, "rank"),
               shape, real(m, "scale"), real(m, "norm"));
    }
}

static int show(const struct adapter *v, lorac_runtime *runtime, const char *const *paths)
{
    lorac_error err;
    char *text = NULL;
    int status = 0;
    lorac_status failed = lorac_adapter_describe(runtime, paths[0], v->common.model, &text, &err);
    json_t *o = result(v, failed, text, &err, &status);
    if (!o) return status;
    if (v->common.json) {
        json_print_line(stdout, o);
        return 0;
    }
    print_facts(o);
    print_modules(json_object_get(o, "modules"));
    json_decref(o);
    return 0;
}

/* ---- diff ----------------------------------------------------------------------------------- */

static void print_difference(const json_t *o)
{
    size_t i;
    json_t *m, *what;
    json_array_foreach(json_object_get(o, "modules"), i, m)
    {
        size_t k;
        printf("%s:", json_string_value(json_object_get(m, "name")));
        json_array_foreach(json_object_get(m, "differs"), k, what)
            printf("%s %s", k ? "," : "", json_string_value(what));
        if (json_is_number(json_object_get(m, "distance"))) printf("; relative distance %.3g", real(m, "distance"));
        printf("\n");
    }
    json_array_foreach(json_object_get(o, "other_tensors"), i, m) printf("%s: differs\n", json_string_value(m));
    if (json_is_true(json_object_get(o, "equal")))
        printf("equal: %ld modules\n", whole(o, "compared"));
    else
        printf("relative distance of all: %.6g\n", real(o, "distance"));
}

/* As of `diff`, 1 says that they differ. */
static int diff(const struct adapter *v, lorac_runtime *runtime, const char *const *paths)
{
    lorac_error err;
    char *text = NULL;
    int status = 0;
    lorac_status failed = lorac_adapter_compare(runtime, paths[0], paths[1], v->common.model, &text, &err);
    json_t *o = result(v, failed, text, &err, &status);
    if (!o) return status;
    status = json_is_true(json_object_get(o, "equal")) ? 0 : 1;
    if (v->common.json) {
        json_print_line(stdout, o);
        return status;
    }
    print_difference(o);
    json_decref(o);
    return status;
}

/* ---- export, import ------------------------------------------------------------------------- */

static void print_written(const json_t *o)
{
    size_t i;
    json_t *form;
    const char *left_out = json_string_value(json_object_get(o, "left_out"));
    printf("%s:", json_string_value(json_object_get(o, "out")));
    json_array_foreach(json_object_get(o, "formats"), i, form) printf("%s %s", i ? "," : "", json_string_value(form));
    printf(", %ld modules\n", whole(o, "modules"));
    if (left_out) fprintf(stderr, "lorac: left out: %s\n", left_out);
}

static int write_form(const struct adapter *v, lorac_runtime *runtime, const char *path, const char *format)
{
    lorac_adapter_export_options o;
    lorac_error err;
    char *text = NULL;
    int status = 0;
    lorac_adapter_export_options_init(&o);
    o.format = format;
    o.base = v->common.model;
    o.dtype = dtypes[v->dtype];
    o.force = v->force;
    lorac_status failed = lorac_adapter_export(runtime, path, v->out, &o, &text, &err);
    json_t *written = result(v, failed, text, &err, &status);
    if (!written) return status;
    if (v->common.json) {
        json_print_line(stdout, written);
        return 0;
    }
    print_written(written);
    json_decref(written);
    return 0;
}

static int export(const struct adapter *v, lorac_runtime *runtime, const char *const *paths)
{
    return write_form(v, runtime, paths[0], v->format);
}

static int import(const struct adapter *v, lorac_runtime *runtime, const char *const *paths)
{
    return write_form(v, runtime, paths[0], NULL);
}

/* ---- the command ---------------------------------------------------------------------------- */

static const struct action {
    const char *name;
    size_t paths;
    bool writes, formats;
    int (*run)(const struct adapter *v, lorac_runtime *runtime, const char *const *paths);
} actions[] = {{"show", 1, false, false, show},
               {"diff", 2, false, false, diff},
               {"export", 1, true, true, export},
               {"import", 1, true, false, import}};

static const struct action *find_action(const char *name)
{
    for (size_t i = 0; i < sizeof actions / sizeof *actions; i++)
        if (!strcmp(actions[i].name, name)) return &actions[i];
    return NULL;
}

/* What is wrong with the options of the action; 0: nothing. */
static int check(const struct adapter *v, const struct action *action, size_t paths)
{
    if (paths != action->paths)
        return fail_usage(v->common.json, "lorac adapter %s needs %zu adapter%s, not %zu", action->name, action->paths,
                          action->paths > 1 ? "s" : "", paths);
    if (action->writes != (v->out != NULL))
        return fail_usage(v->common.json, "lorac adapter %s %s", action->name,
                          v->out ? "takes no --out" : "needs --out PATH");
    if (action->formats == (v->format != NULL)) return 0;
    return fail_usage(v->common.json, "lorac adapter %s %s", action->name,
                      v->format ? "takes no --format" : "needs --format " FORMATS);
}

static int run(struct arguments *a)
{
    const struct adapter *v = a->values;
    const struct action *action = find_action(a->rest.items[0]);
    const char *paths[4];
    size_t count = 0;
    struct engine e;
    if (!action) return fail_usage(v->common.json, "'%s' is none of show, diff, export, import", a->rest.items[0]);
    for (size_t i = 1; i < a->rest.count; i++) paths[count++] = a->rest.items[i];
    for (size_t i = 0; i < v->common.adapters.count && count < 3; i++) paths[count++] = v->common.adapters.items[i];
    int status = check(v, action, count);
    if (status) return status;
    status = engine_open(&e, &v->common, OPEN_RUNTIME);
    if (!status) status = action->run(v, e.runtime, paths);
    engine_close(&e);
    return status;
}

const struct command command_adapter = {
    .name = "adapter",
    .summary = "show, compare, export and import adapters",
    .positional = "show A | diff A B | export A | import A",
    .positional_least = 1,
    .positional_most = 3,
    .details = "Adapters are PEFT's and mlx-lm's folders and llama.cpp's GGUF files. show: what one holds; diff: in "
               "which modules two differ, and "
               "how much (exit status 1: they do); export: another program's form; import: lorac's own folder, which "
               "PEFT and mlx-lm read.",
    .examples = "  lorac adapter show adapters\n"
                "  lorac adapter diff adapters adapters/best\n"
                "  lorac adapter export adapters --format mlx --out adapters-mlx\n"
                "  lorac adapter export adapters --format gguf --model model.gguf --out adapter.gguf\n"
                "  lorac adapter import downloaded --out mine\n",
    .options = option_table,
    .values_size = sizeof(struct adapter),
    .run = run,
};
