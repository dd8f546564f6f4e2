/* convert.c — `lorac convert`: a model quantised, or in another type of numbers. */
#include "convert.h"
#include "json_out.h"
#include "signals.h"

#include <math.h>
#include <string.h>

static const char *const modes[] = {"affine", "mxfp4", "mxfp8", "nvfp4", "nf4"};
static const char *const recipes[] = {NULL, "mixed_2_6", "mixed_3_4", "mixed_3_6", "mixed_4_6"};
static const char *const dtypes[] = {NULL, "float16", "bfloat16", "float32"};
static const char *const gguf_types[] = {NULL,     "f32",    "f16",    "bf16",   "q4_0",   "q4_1",   "q5_0",   "q5_1",
                                         "q8_0",   "q2_k",   "q2_k_s", "q3_k_s", "q3_k_m", "q3_k_l", "q4_k_s", "q4_k_m",
                                         "q5_k_s", "q5_k_m", "q6_k",   "iq4_nl", "iq4_xs", "mxfp4"};

static const struct option option_table[] = {
    FOLDER_OPTIONS(struct convert, "out", "mlx-path save-path", "mlx_model"),
    NUMBER_OPTIONS(struct convert),
    SECTION("Quality"),
    DATA_OPTIONS(struct convert),
    SECTION("Model"),
    MODEL_OPTIONS(struct convert),
    SECTION("Output"),
    JSON_OPTION(struct convert),
    OPTIONS_END,
};

int convert_progress(void *user, size_t done, size_t total)
{
    struct terminal *t = &((struct converting *)user)->terminal;
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

void convert_print_unquantized(const struct convert *v, const lorac_converted *r)
{
    enum { SHOWN = 8 };
    const char *lines = r->unquantized, *what = v->gguf ? "of another type" : "not quantised";
    if (v->common.json) return;
    for (size_t i = 0, length; i < SHOWN && *lines; i++, lines += length + 1) {
        length = strcspn(lines, "\n");
        fprintf(stderr, "lorac: %s, since the group does not divide its rows: %.*s\n", what, (int)length, lines);
    }
    if (*lines) fprintf(stderr, "lorac: ... %zu in all; --json lists them\n", r->unquantized_count);
}

const char *convert_format(const struct convert *v, const char *otherwise)
{
    if (v->gguf) return gguf_types[v->gguf];
    if (v->quantize) return recipes[v->recipe] ? recipes[v->recipe] : modes[v->mode];
    return dtypes[v->dtype] ? dtypes[v->dtype] : otherwise;
}

/* perplexity NaN: not measured */
static void print_result(const struct convert *v, const lorac_converted *r, double seconds, double perplexity)
{
    double bits = r->parameters ? 8.0 * (double)r->bytes / (double)r->parameters : 0;
    const char *format = convert_format(v, "unquantized");
    char size[32];
    convert_print_unquantized(v, r);
    if (v->common.json)
        json_print_line(stdout,
                        json_pack("{s:o,s:s,s:I,s:o,s:o,s:o}", "out", json_text(v->out, strlen(v->out)), "format",
                                  format, "bytes", (json_int_t)r->bytes, "bits_per_weight", json_number(bits),
                                  "perplexity", isnan(perplexity) ? json_null() : json_number(perplexity),
                                  "unquantized", names_json(r->unquantized)));
    else
        printf("%s: %s, %s, %.3f bits per weight (%.1f s)\n", v->out, format,
               format_bytes(size, sizeof size, (double)r->bytes), bits, seconds);
    if (!v->common.json && !isnan(perplexity)) printf("perplexity %.3f\n", perplexity);
}

int convert_measure(const struct convert *v, const char *model, double *loss, double *adapted)
{
    struct common common = v->common;
    struct engine e;
    lorac_dataset *dataset = NULL;
    lorac_evaluation result;
    common.model = model;
    int status = engine_open(&e, &common, OPEN_MODEL | OPEN_TOKENIZER | (adapted ? OPEN_ADAPTERS : 0));
    if (!status) status = data_open(&v->data, &e, "valid", common.json, &dataset);
    if (!status) status = data_evaluate(&e, NULL, dataset, &common, &result);
    if (!status) *loss = result.loss;
    if (!status && adapted) status = data_evaluate(&e, e.set, dataset, &common, &result);
    if (!status && adapted) *adapted = result.loss;
    if (dataset) lorac_dataset_close(dataset);
    engine_close(&e);
    return status;
}

static void print_note(void *user, const char *line)
{
    fprintf(stderr, "lorac: %s\n", line);
}

lorac_convert_options convert_options(const struct convert *v, struct converting *user)
{
    lorac_convert_options o;
    lorac_convert_options_init(&o);
    o.mode = v->quantize ? modes[v->mode] : NULL;
    o.bits = v->bits;
    o.group = v->group;
    o.double_quant = v->double_quant;
    o.dequantize = v->dequantize;
    o.gptq = v->method || v->error_feedback;
    o.target_bits = v->target_bits;
    o.recipe = v->quantize ? recipes[v->recipe] : NULL;
    o.overrides = v->overrides.items;
    o.override_count = v->overrides.count;
    o.dtype = dtypes[v->dtype];
    o.gguf_type = gguf_types[v->gguf];
    o.imatrix = v->imatrix;
    o.shard_bytes = v->shard_bytes;
    o.force = v->force;
    o.progress = convert_progress;
    o.note = print_note;
    o.user = user;
    return o;
}

int convert_write(const struct convert *v, lorac_runtime *runtime, const char *model, const lorac_convert_options *o,
                  struct converting *user, lorac_converted *converted)
{
    lorac_error err;
    *converted = (lorac_converted){.struct_size = sizeof *converted};
    terminal_open(&user->terminal, stderr);
    lorac_status failed = lorac_convert(runtime, model, v->out, o, converted, &err);
    terminal_clear(&user->terminal);
    if (interrupted() && failed) return fail_interrupted(v->common.json, "interrupted: nothing was written");
    if (failed == LORAC_INVALID_ARGUMENT && !*err.file) return fail_usage(v->common.json, "%s", err.message);
    return failed ? fail_error(v->common.json, &err) : 0;
}

static int convert(const struct convert *v, const struct engine *e, const char *model)
{
    struct converting converting;
    lorac_converted converted;
    lorac_convert_options o = convert_options(v, &converting);
    double loss = NAN;
    lorac_dataset *text;
    int status = convert_calibration(v, e, &text);
    o.calibration = text;
    if (!status) status = convert_write(v, e->runtime, model, &o, &converting, &converted);
    if (text) lorac_dataset_close(text);
    if (status) return status;
    double seconds = seconds_now() - converting.terminal.start;
    if (v->data.folder) status = convert_measure(v, v->out, &loss, NULL);
    if (!status) print_result(v, &converted, seconds, exp(loss));
    lorac_free(converted.unquantized);
    return status;
}

/* Options that say how to quantise, where nothing is to be quantised. */
static const char *idle_option(const struct arguments *a)
{
    static const char *const names[] = {"q-mode",          "q-bits",     "q-group-size", "double-quant",
                                        "quant-predicate", "q-override", "q-method",     "target-bpw"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (option_origin(a, names[i]) != ORIGIN_DEFAULT) return names[i];
    return NULL;
}

int convert_calibration(const struct convert *v, const struct engine *e, lorac_dataset **dataset)
{
    *dataset = NULL;
    if (!convert_parts(v)) return 0;
    return data_open_first(&v->data, e, "train", v->calibration_rows, v->common.json, dataset);
}

unsigned convert_parts(const struct convert *v)
{
    return v->method || v->error_feedback || v->target_bits > 0 ? OPEN_TOKENIZER : OPEN_RUNTIME;
}

static bool is_gguf_name(const char *path)
{
    size_t length = strlen(path);
    return length > 5 && !strcmp(path + length - 5, ".gguf");
}

int convert_check(const struct arguments *a, const struct convert *v)
{
    if (v->gguf && !is_gguf_name(v->out))
        return fail_usage(v->common.json, "--gguf-type needs --out FILE.gguf to write");
    if (!v->gguf && is_gguf_name(v->out)) return fail_usage(v->common.json, "a GGUF file needs --gguf-type");
    if (!v->quantize && idle_option(a)) return fail_usage(v->common.json, "--%s needs --quantize", idle_option(a));
    if (convert_parts(v) && !v->data.folder)
        return fail_usage(v->common.json, "choosing codes by a text needs --data DIR, with train.jsonl");
    return v->data.folder ? data_check(a, &v->data, v->common.json) : 0;
}

static int run(struct arguments *a)
{
    const struct convert *v = a->values;
    struct engine e;
    char buffer[4096];
    int status = convert_check(a, v);
    if (status) return status;
    const char *model = model_path(&v->common, buffer, sizeof buffer);
    if (!model) return 1;
    signals_install();
    status = engine_open(&e, &v->common, convert_parts(v));
    if (!status) status = convert(v, &e, model);
    engine_close(&e);
    return status;
}

const struct command command_convert = {
    .name = "convert",
    .summary = "quantise a model, change its type of numbers, or write it as a GGUF",
    .details = "Writes the folder that mlx-lm (affine, mxfp4, mxfp8, nvfp4, or without -q) or transformers (nf4) "
               "loads, or the "
               "GGUF file that llama.cpp loads.",
    .examples = "  lorac convert --model Qwen3-0.6B --out qwen-4bit -q\n"
                "  lorac convert --model Qwen3-0.6B --out qwen-nf4 -q --q-mode nf4\n"
                "  lorac convert --model Qwen3-0.6B --out qwen-f16 --dtype float16\n"
                "  lorac convert --model Qwen3-0.6B --out qwen.gguf --gguf-type q8_0\n",
    .options = option_table,
    .values_size = sizeof(struct convert),
    .run = run,
};
