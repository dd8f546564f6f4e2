/* common.c — opens what a command needs and says what went wrong. */
#include "common.h"
#include "json_out.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define DEFAULT_MODEL "models/SmolLM2-135M-Instruct.Q4_1.gguf"

/* ---- failing ------------------------------------------------------------------------------- */

static void print_failure(bool json, const char *message, const char *file, const char *kind)
{
    fflush(stdout);
    fprintf(stderr, "lorac: %s\n", message);
    if (!json) return;
    json_print_line(stdout, json_pack("{s:{s:o,s:o,s:s}}", "error", "message", json_text(message, strlen(message)),
                                      "file", json_text(file, strlen(file)), "kind", kind));
}

int fail_usage(bool json, const char *format, ...)
{
    char message[1024];
    va_list list;
    va_start(list, format);
    vsnprintf(message, sizeof message, format, list);
    va_end(list);
    print_failure(json, message, "", "usage");
    return 2;
}

int fail_error(bool json, const lorac_error *err)
{
    print_failure(json, err->message, err->file, lorac_status_name(err->status));
    return err->status == LORAC_CANCELLED ? 130 : 1;
}

int fail_status(bool json, lorac_status kind, const char *file, const char *format, ...)
{
    lorac_error err = {.status = kind};
    va_list list;
    va_start(list, format);
    vsnprintf(err.message, sizeof err.message, format, list);
    va_end(list);
    snprintf(err.file, sizeof err.file, "%s", file);
    return fail_error(json, &err);
}

int fail_interrupted(bool json, const char *sentence)
{
    print_failure(json, sentence, "", lorac_status_name(LORAC_CANCELLED));
    return 130;
}

/* ---- paths --------------------------------------------------------------------------------- */

bool path_exists(const char *path)
{
    struct stat status;
    return *path && stat(path, &status) == 0;
}

static bool default_model(char *path, size_t size)
{
    const char *lorac = getenv("LORAC_CACHE"), *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    int n;
    if (lorac && *lorac)
        n = snprintf(path, size, "%s/" DEFAULT_MODEL, lorac);
    else if (xdg && *xdg)
        n = snprintf(path, size, "%s/lorac/" DEFAULT_MODEL, xdg);
    else
        n = snprintf(path, size, "%s/.cache/lorac/" DEFAULT_MODEL, home && *home ? home : ".");
    return n > 0 && (size_t)n < size && path_exists(path);
}

/* org/name, as the hub names models; not something that looks like a path. */
static bool looks_like_hub_name(const char *name)
{
    const char *slash = strchr(name, '/');
    size_t length = strlen(name);
    return slash && slash != name && slash[1] && !strchr(slash + 1, '/') && name[0] != '.' && name[0] != '~' &&
           (length < 5 || strcmp(name + length - 5, ".gguf"));
}

const char *model_path(const struct common *c, char *buffer, size_t size)
{
    if (!c->model) {
        if (default_model(buffer, size)) return buffer;
        fail_status(c->json, LORAC_NOT_FOUND, buffer,
                    "the default model %s is not there: run `make demo` or give --model", buffer);
        return NULL;
    }
    if (!path_exists(c->model) && looks_like_hub_name(c->model)) {
        fail_status(
            c->json, LORAC_NOT_FOUND, c->model,
            "%s is neither a file nor a folder; names on a hub are not fetched: download it and give its folder",
            c->model);
        return NULL;
    }
    return c->model;
}

bool adapter_spec(const char *argument, char *path, size_t size, double *scale)
{
    const char *colon = strrchr(argument, ':');
    size_t length = strlen(argument);
    *scale = 1;
    if (colon && !path_exists(argument) && parse_decimal(colon + 1, scale))
        length = (size_t)(colon - argument);
    else
        *scale = 1;
    return (size_t)snprintf(path, size, "%.*s", (int)length, argument) < size;
}

/* ---- opening ------------------------------------------------------------------------------- */

static void print_warning(void *user, const char *line)
{
    fprintf(stderr, "lorac: warning: %s\n", line);
}

/* All adapters must exist before the model is opened: the likely mistake is told at once. */
static int adapters_check(const struct common *c)
{
    for (size_t i = 0; i < c->adapters.count; i++) {
        char path[4096];
        double scale;
        if (!adapter_spec(c->adapters.items[i], path, sizeof path, &scale))
            return fail_usage(c->json, "the path given to --adapter-path is too long");
        if (!path_exists(path)) return fail_status(c->json, LORAC_NOT_FOUND, path, "%s: no such adapter", path);
    }
    return 0;
}

static int adapters_open(struct engine *e, const struct common *c)
{
    lorac_error err;
    size_t count = c->adapters.count;
    if (!count) return 0;
    e->adapters = calloc(count, sizeof *e->adapters);
    e->factors = calloc(count, sizeof *e->factors);
    if (!e->adapters || !e->factors) return fail_status(c->json, LORAC_OUT_OF_MEMORY, "", "out of memory");
    for (size_t i = 0; i < count; i++) {
        char path[4096];
        adapter_spec(c->adapters.items[i], path, sizeof path, &e->factors[i]);
        if (lorac_adapter_open(e->model, path, &e->adapters[i], &err)) return fail_error(c->json, &err);
        e->adapter_count++;
    }
    if (lorac_adapter_set_create(e->adapters, e->factors, count, &e->set, &err)) return fail_error(c->json, &err);
    return 0;
}

int engine_open(struct engine *e, const struct common *c, unsigned parts)
{
    lorac_runtime_options options;
    lorac_error err;
    char buffer[4096];
    const char *path = NULL;
    int status;

    *e = (struct engine){0};
    if (parts & OPEN_ADAPTERS && (status = adapters_check(c))) return status;
    if (parts & OPEN_MODEL || (parts & OPEN_TOKENIZER && !c->tokenizer))
        if (!(path = model_path(c, buffer, sizeof buffer))) return 1;
    lorac_runtime_options_init(&options);
    options.threads = c->threads > 4096 ? 4096 : (int)c->threads;
    options.memory_limit = c->memory_limit;
    options.no_mmap = c->no_mmap;
    options.log = print_warning;
    if (lorac_runtime_create(&options, &e->runtime, &err)) return fail_error(c->json, &err);
    if (parts & OPEN_MODEL && lorac_model_open(e->runtime, path, &e->model, &err)) return fail_error(c->json, &err);
    if (parts & OPEN_TOKENIZER &&
        lorac_tokenizer_open(e->runtime, c->tokenizer ? c->tokenizer : path, &e->tokenizer, &err))
        return fail_error(c->json, &err);
    return parts & OPEN_ADAPTERS ? adapters_open(e, c) : 0;
}

void engine_close(struct engine *e)
{
    if (e->set) lorac_adapter_set_release(e->set);
    for (size_t i = 0; i < e->adapter_count; i++) lorac_adapter_release(e->adapters[i]);
    free(e->adapters);
    free(e->factors);
    if (e->tokenizer) lorac_tokenizer_close(e->tokenizer);
    if (e->model) lorac_model_release(e->model);
    if (e->runtime) lorac_runtime_free(e->runtime);
    *e = (struct engine){0};
}

/* ---- small things -------------------------------------------------------------------------- */

void sampling_get(const struct sampling *from, lorac_sampler *to)
{
    lorac_sampler_init(to);
    to->temperature = from->temperature;
    to->top_p = from->top_p;
    to->min_p = from->min_p;
    to->top_k = from->top_k;
    to->seed = from->seed;
}

double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static char *read_stream(FILE *file, size_t *length)
{
    char *text = NULL;
    size_t capacity = 0;
    *length = 0;
    do {
        char *grown = realloc(text, capacity = 2 * capacity + 65536);
        if (!grown) {
            free(text);
            return NULL;
        }
        text = grown;
        *length += fread(text + *length, 1, capacity - 1 - *length, file);
    } while (*length == capacity - 1);
    text[*length] = 0;
    return text;
}

char *read_whole(bool json, const char *path, size_t *length)
{
    FILE *file = strcmp(path, "-") ? fopen(path, "rb") : stdin;
    char *text;
    if (!file) {
        fail_status(json, errno == ENOENT ? LORAC_NOT_FOUND : LORAC_IO, path, "%s: %s", path, strerror(errno));
        return NULL;
    }
    errno = 0;
    text = read_stream(file, length);
    if (!text)
        fail_status(json, LORAC_OUT_OF_MEMORY, path, "%s: too large for the memory", path);
    else if (ferror(file)) {
        fail_status(json, LORAC_IO, path, "%s: %s", path, strerror(errno));
        free(text);
        text = NULL;
    }
    if (file != stdin) fclose(file);
    return text;
}

int32_t *parse_ids(bool json, const char *option, const char *text, size_t *count)
{
    int32_t *ids = malloc((strlen(text) / 2 + 2) * sizeof *ids);
    *count = 0;
    for (const char *at = text; ids && *at;) {
        char *end;
        long long id = strtoll(at, &end, 10);
        if (end == at || id < 0 || id > INT32_MAX || (*end && *end != ',') || (*end && !end[1])) {
            fail_usage(json, "--%s needs token ids separated by commas, such as 1,2,3, not '%s'", option, text);
            free(ids);
            return NULL;
        }
        ids[(*count)++] = (int32_t)id;
        at = *end ? end + 1 : end;
    }
    if (!ids) fail_status(json, LORAC_OUT_OF_MEMORY, "", "out of memory");
    return ids;
}
