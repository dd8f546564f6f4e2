/* convert.c — `lorac convert`: a model quantised, or in another type of numbers. */
#include "data.h"
#include "json_out.h"
#include "signals.h"
#include "terminal.h"
#include <lorac/convert.h>

#include <math.h>
#include <string.h>

struct convert {
    struct common common;
    const char *out;
    struct data data;
    bool force, quantize, dequantize, double_quant;
    int mode, dtype, recipe;
    struct text_list overrides;
    size_t bits, group, shard_bytes;
};

static const char *const modes[] = {"affine", "mxfp4", "mxfp8", "nvfp4", "nf4"};
static const char *const recipes[] = {NULL, "mixed_2_6", "mixed_3_4", "mixed_3_6", "mixed_4_6"};
static const char *const dtypes[] = {NULL, "float16", "bfloat16", "float32"};

static const struct option option_table[] = {
    SECTION("Folder"),
    OPTION(TEXT, struct convert, out, "out", .aliases = "mlx-path save-path", .value = "DIR", .fallback = "mlx_model",
           .help = "the folder to write; it must not be there"),
    OPTION(FLAG, struct convert, force, "force", .help = "replace a model's folder that is there"),
    OPTION(BYTES, struct convert, shard_bytes, "max-shard-size", .value = "SIZE", .fallback = "5368709120", .least = 1,
           .help = "weights that take more are cut into files of this size"),
    SECTION("Numbers"),
    OPTION(FLAG, struct convert, quantize, "quantize", .aliases = "-q", .help = "quantise"),
    OPTION(FLAG, struct convert, dequantize, "dequantize", .aliases = "-d",
           .help = "write the numbers of a model that is quantised"),
    OPTION(CHOICE, struct convert, mode, "q-mode", .value = "MODE", .choices = "affine|mxfp4|mxfp8|nvfp4|nf4",
           .fallback = "affine",
           .help = "how: affine, mxfp4, mxfp8 and nvfp4 for mlx-lm, nf4 for transformers with bitsandbytes"),
    OPTION(COUNT, struct convert, bits, "q-bits", .value = "BITS", .fallback = "0",
           .help = "affine: 2, 3, 4, 5, 6 or 8; 0: what the mode has (affine: 4)"),
    OPTION(COUNT, struct convert, group, "q-group-size", .value = "N", .fallback = "0",
           .help = "numbers that share a scale, affine: 32, 64 or 128; 0: what the mode has (affine: 64)"),
    OPTION(CHOICE, struct convert, recipe, "quant-predicate", .value = "RECIPE",
           .choices = "none|mixed_2_6|mixed_3_4|mixed_3_6|mixed_4_6", .fallback = "none",
           .help = "affine: the second number of bits for the head and some layers' values and down projections"),
    OPTION(LIST, struct convert, overrides, "q-override", .value = "PATTERN=MODE:BITS:GROUP",
           .help =
               "quantise otherwise the modules whose name, or its end after a dot, fits PATTERN (* and ?), or not at "
               "all (PATTERN=none); may be repeated, the last that fits holds"),
    OPTION(FLAG, struct convert, double_quant, "double-quant", .help = "nf4: quantise its scales, too"),
    OPTION(CHOICE, struct convert, dtype, "dtype", .value = "TYPE", .choices = "auto|float16|bfloat16|float32",
           .fallback = "auto",
           .help = "the type of what is not quantised; auto: config.json's torch_dtype, else as it is"),
    SECTION("Quality"),
    DATA_OPTIONS(struct convert),
    SECTION("Model"),
    MODEL_OPTIONS(struct convert),
    SECTION("Output"),
    JSON_OPTION(struct convert),
    OPTIONS_END,
};

static int on_progress(void *user, size_t done, size_t total)
{
    struct terminal *t = user;
    char a[32], b[32], left[32];
    double fraction = total ? (double)done / (double)total : 1;
    if (terminal_due(t) && done)
        terminal_progress(t, fraction, "%s of %s  %s left", format_bytes(a, sizeof a, (double)done),
                          format_bytes(b, sizeof b, (double)total), terminal_left(t, left, sizeof left, fraction));
    return interrupted();
}

static json_t *names_json(const char *lines)
{
    json_t *names = json_array();
    for (size_t length; *lines; lines += length + 1) {
        length = strcspn(lines, "\n");
        json_array_append_new(names, json_text(lines, length));
    }
    return names;
}

static void print_names(const char *lines)
{
    for (size_t length; *lines; lines += length + 1) {
        length = strcspn(lines, "\n");
        fprintf(stderr, "lorac: not quantised, since the group does not divide its rows: %.*s\n", (int)length, lines);
    }
}

/* perplexity 0: not measured */
static void print_result(const struct convert *v, const lorac_converted *r, double seconds, double perplexity)
{
    double bits = r->parameters ? 8.0 * (double)r->bytes / (double)r->parameters : 0;
    const char *format = v->quantize ? modes[v->mode] : dtypes[v->dtype] ? dtypes[v->dtype] : "unquantized";
    const char *recipe = recipes[v->recipe];
    if (v->quantize && recipe) format = recipe;
    char size[32];
    print_names(r->unquantized);
    if (v->common.json)
        json_print_line(stdout,
                        json_pack("{s:o,s:s,s:I,s:o,s:o,s:o}", "out", json_text(v->out, strlen(v->out)), "format",
                                  format, "bytes", (json_int_t)r->bytes, "bits_per_weight", json_number(bits),
                                  "perplexity", perplexity > 0 ? json_number(perplexity) : json_null(), "unquantized",
                                  names_json(r->unquantized)));
    else
        printf("%s: %s, %s, %.3f bits per weight (%.1f s)\n", v->out, format,
               format_bytes(size, sizeof size, (double)r->bytes), bits, seconds);
    if (!v->common.json && perplexity > 0) printf("perplexity %.3f\n", perplexity);
}

/* Of what was written, on the valid split. */
static int measure(const struct convert *v, const char *model, double *perplexity)
{
    struct common common = v->common;
    struct engine e;
    lorac_dataset *dataset = NULL;
    lorac_evaluation result;
    common.model = model;
    int status = engine_open(&e, &common, OPEN_MODEL | OPEN_TOKENIZER);
    if (!status) status = data_open(&v->data, &e, "valid", common.json, &dataset);
    if (!status) status = data_evaluate(&e, NULL, dataset, &common, &result);
    if (!status) *perplexity = exp(result.loss);
    if (dataset) lorac_dataset_close(dataset);
    engine_close(&e);
    return status;
}

static int convert(const struct convert *v, const struct engine *e, const char *model)
{
    struct terminal terminal;
    lorac_convert_options o;
    lorac_converted converted = {.struct_size = sizeof converted};
    lorac_error err;
    terminal_open(&terminal, stderr);
    lorac_convert_options_init(&o);
    o.mode = v->quantize ? modes[v->mode] : NULL;
    o.bits = v->bits;
    o.group = v->group;
    o.double_quant = v->double_quant;
    o.dequantize = v->dequantize;
    o.recipe = v->quantize ? recipes[v->recipe] : NULL;
    o.overrides = v->overrides.items;
    o.override_count = v->overrides.count;
    o.dtype = dtypes[v->dtype];
    o.shard_bytes = v->shard_bytes;
    o.force = v->force;
    o.progress = on_progress;
    o.user = &terminal;
    lorac_status failed = lorac_convert(e->runtime, model, v->out, &o, &converted, &err);
    terminal_clear(&terminal);
    if (interrupted() && failed) return fail_interrupted(v->common.json, "interrupted: nothing was written");
    if (failed == LORAC_INVALID_ARGUMENT && !*err.file) return fail_usage(v->common.json, "%s", err.message);
    if (failed) return fail_error(v->common.json, &err);
    double seconds = seconds_now() - terminal.start, perplexity = 0;
    int status = v->data.folder ? measure(v, v->out, &perplexity) : 0;
    if (!status) print_result(v, &converted, seconds, perplexity);
    lorac_free(converted.unquantized);
    return status;
}

/* Options that say how to quantise, where nothing is to be quantised. */
static const char *idle_option(const struct arguments *a)
{
    static const char *const names[] = {"q-mode",       "q-bits",          "q-group-size",
                                        "double-quant", "quant-predicate", "q-override"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (option_origin(a, names[i]) != ORIGIN_DEFAULT) return names[i];
    return NULL;
}

static int run(struct arguments *a)
{
    const struct convert *v = a->values;
    struct engine e;
    char buffer[4096];
    int status = v->data.folder ? data_check(a, &v->data, v->common.json) : 0;
    if (status) return status;
    if (!v->quantize && idle_option(a)) return fail_usage(v->common.json, "--%s needs --quantize", idle_option(a));
    const char *model = model_path(&v->common, buffer, sizeof buffer);
    if (!model) return 1;
    signals_install();
    status = engine_open(&e, &v->common, OPEN_RUNTIME);
    if (!status) status = convert(v, &e, model);
    engine_close(&e);
    return status;
}

const struct command command_convert = {
    .name = "convert",
    .summary = "quantise a model, or change its type of numbers",
    .details =
        "Writes the folder that mlx-lm (affine, mxfp4, mxfp8, nvfp4, or without -q) or transformers (nf4) loads.",
    .examples = "  lorac convert --model Qwen3-0.6B --out qwen-4bit -q\n"
                "  lorac convert --model Qwen3-0.6B --out qwen-nf4 -q --q-mode nf4\n"
                "  lorac convert --model Qwen3-0.6B --out qwen-f16 --dtype float16\n",
    .options = option_table,
    .values_size = sizeof(struct convert),
    .run = run,
};
