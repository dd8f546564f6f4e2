/* common.h — what the commands share: options about the model, opening things, and failing. */
#ifndef CLI_COMMON_H
#define CLI_COMMON_H

#include "options.h"
#include <lorac/adapter.h>
#include <lorac/session.h>
#include <lorac/tokenizer.h>

/* ---- options every command with a model has -------------------------------------------------- */

struct common {
    const char *model, *tokenizer;
    struct text_list adapters; /* PATH[:SCALE] */
    size_t threads, memory_limit;
    int precision;
    bool no_mmap, json;
};

#define RUN_CODE_REFUSAL "lorac never runs code that comes with a model"

#define MODEL_OPTIONS(values)                                                                                          \
    OPTION(TEXT, values, common.model, "model", .aliases = "hf-path", .value = "PATH",                                 \
           .help = "a GGUF file or a Hugging Face folder; without it, the model that `make demo` fetched"),            \
        OPTION(BYTES, values, common.memory_limit, "memory-limit", .value = "SIZE",                                    \
               .help = "refuse to use more memory than this, such as 4G"),                                             \
        OPTION(COUNT, values, common.threads, "threads", .value = "N",                                                 \
               .help = "threads to compute with; by default what this process may use"),                               \
        OPTION(CHOICE, values, common.precision, "precision", .value = "MODE", .choices = "fast|exact",                \
               .fallback = "fast", .help = "how to compute"),                                                          \
        OPTION(FLAG, values, common.no_mmap, "no-mmap",                                                                \
               .help = "read the weights into memory instead of mapping them"),                                        \
        REFUSED("trust-remote-code", NULL, "false", RUN_CODE_REFUSAL)

#define ADAPTER_OPTION(values)                                                                                         \
    OPTION(LIST, values, common.adapters, "adapter-path", .aliases = "adapter-file", .value = "PATH[:SCALE]",          \
           .help = "an adapter to run under, its own scale times SCALE; several are added up")

#define JSON_OPTION(values) OPTION(FLAG, values, common.json, "json", .help = "print JSON on standard output")

/* How a token is drawn. */
struct sampling {
    double temperature, top_p, min_p;
    size_t top_k, seed;
};
#define SAMPLING_OPTIONS(values, seed_default)                                                                         \
    OPTION(REAL, values, sampling.temperature, "temp", .value = "T", .fallback = "0", .least = 0, .most = 1000,        \
           .help = "temperature; 0 takes the likeliest token"),                                                        \
        OPTION(REAL, values, sampling.top_p, "top-p", .value = "P", .fallback = "1", .least = 0, .most = 1,            \
               .help = "draw from the likeliest tokens that together have this probability"),                          \
        OPTION(COUNT, values, sampling.top_k, "top-k", .value = "N", .fallback = "0",                                  \
               .help = "draw from the N likeliest tokens; 0: from all"),                                               \
        OPTION(REAL, values, sampling.min_p, "min-p", .value = "P", .fallback = "0", .least = 0, .most = 1,            \
               .help = "leave out tokens less likely than P times the likeliest"),                                     \
        OPTION(COUNT, values, sampling.seed, "seed", .value = "N", .fallback = seed_default,                           \
               .help = "what random numbers start from"),                                                              \
        REFUSED("xtc-probability", "P", "0.0", "XTC sampling is not part of lorac"),                                   \
        REFUSED("xtc-threshold", "P", "0.1", "XTC sampling is not part of lorac"),                                     \
        REFUSED("max-kv-size", "N", NULL, "the cache is not rotated; a text ends at the model's context length")

/* How the cache stores keys and values: `values`.kv_bits is 1 for 8 bits. */
#define KV_OPTION(values)                                                                                              \
    OPTION(CHOICE, values, kv_bits, "kv-bits", .value = "BITS", .choices = "auto|8", .fallback = "auto",               \
           .help = "8 keeps the cache's keys and values in 8 bits; auto: in bf16, or f32 with --precision exact")

void sampling_get(const struct sampling *from, lorac_sampler *to);

/* ---- opening ------------------------------------------------------------------------------- */

/* Everything a command may need; members that were not asked for are NULL. */
struct engine {
    lorac_runtime *runtime;
    lorac_model *model;
    lorac_tokenizer *tokenizer;
    lorac_adapter **adapters;
    double *factors;
    size_t adapter_count;
    lorac_adapter_set *set; /* all adapters, or NULL when there are none */
};
enum { OPEN_RUNTIME = 0, OPEN_MODEL = 1, OPEN_TOKENIZER = 2, OPEN_ADAPTERS = 4, OPEN_ALL = 7 };

/* 0, or the exit status of a failure that was reported. The engine is to be closed in both cases. */
int engine_open(struct engine *e, const struct common *c, unsigned parts);
void engine_close(struct engine *e);

/* The model's path as the user means it; NULL after a reported failure. */
const char *model_path(const struct common *c, char *buffer, size_t size);

/* Splits PATH[:SCALE]: an argument that exists is a path; else a decimal after the last colon is the scale. */
bool adapter_spec(const char *argument, char *path, size_t size, double *scale);

/* ---- failing: a sentence on standard error, and with --json an object on standard output ------ */

int fail_usage(bool json, const char *format, ...) __attribute__((format(printf, 2, 3))); /* 2 */
int fail_error(bool json, const lorac_error *err);                                        /* 1, or 130 when cancelled */
int fail_status(bool json, lorac_status kind, const char *file, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
int fail_interrupted(bool json, const char *sentence); /* 130 */

/* ---- small things ---------------------------------------------------------------------------- */

double seconds_now(void); /* monotonic */
bool path_exists(const char *path);
/* A whole file, or standard input for "-", NUL-terminated, to be freed; NULL after a reported failure. */
char *read_whole(bool json, const char *path, size_t *length);
/* "1,2,3" to ids, to be freed; NULL after a reported failure. */
int32_t *parse_ids(bool json, const char *option, const char *text, size_t *count);

#endif
