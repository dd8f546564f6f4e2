/* fuse.c — `lorac fuse`: adapters added to the weights of their base, and what of them survives. */
#include "convert.h"
#include "json_out.h"
#include "signals.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct option option_table[] = {
    SECTION("Adapters"),
    ADAPTER_OPTION(struct convert),
    FOLDER_OPTIONS(struct convert, "save-path", "out", "fused_model"),
    OPTION(TEXT, struct convert, export_gguf, "export-gguf", .value = "FILE.gguf",
           .help = "write this file in place of a folder; --gguf-type f16 if none is given"),
    NUMBER_OPTIONS(struct convert),
    SECTION("Quality"),
    OPTION(FLAG, struct convert, error_feedback, "error-feedback",
           .help =
               "affine codes: what rounding a group loses goes into the columns after it, weighed by the inputs that "
               "the base has on --data's train split (GPTQ)"),
    DATA_OPTIONS(struct convert),
    SECTION("Model"),
    MODEL_OPTIONS(struct convert),
    SECTION("Output"),
    JSON_OPTION(struct convert),
    OPTIONS_END,
};

/* ---- what survives ----------------------------------------------------------------------------- */

struct fused_module {
    char *name;
    double change, lost;
};
struct fused_list {
    struct fused_module *items;
    size_t count;
};

static void on_fused(void *user, const char *module, double change, double lost)
{
    struct fused_list *list = ((struct converting *)user)->modules;
    struct fused_module *more = realloc(list->items, (list->count + 1) * sizeof *more);
    if (!more) return;
    list->items = more;
    more[list->count++] = (struct fused_module){strdup(module), change, lost};
}

static void free_list(struct fused_list *list)
{
    for (size_t i = 0; i < list->count; i++) free(list->items[i].name);
    free(list->items);
}

static double relative(double lost, double change)
{
    return change > 0 ? lost / change : 0;
}

/* Of all modules together. */
static double relative_error(const struct fused_list *list)
{
    double change = 0, lost = 0;
    for (size_t i = 0; i < list->count; i++) {
        change += list->items[i].change * list->items[i].change;
        lost += list->items[i].lost * list->items[i].lost;
    }
    return relative(sqrt(lost), sqrt(change));
}

static json_t *modules_json(const struct fused_list *list)
{
    json_t *all = json_array();
    for (size_t i = 0; i < list->count; i++) {
        const struct fused_module *m = &list->items[i];
        json_array_append_new(all, json_pack("{s:s,s:o,s:o}", "module", m->name ? m->name : "", "change",
                                             json_number(m->change), "relative_error",
                                             json_number(relative(m->lost, m->change))));
    }
    return all;
}

/* ---- the result -------------------------------------------------------------------------------- */

struct losses {
    double base, adapter, fused; /* NaN: not measured */
};

/* Of what the adapter gains, the share that is still there; NaN: not measured. */
static double kept(const struct losses *l)
{
    return l->base > l->adapter ? (l->base - l->fused) / (l->base - l->adapter) : NAN;
}

static int measure(const struct convert *v, const char *model, struct losses *l)
{
    *l = (struct losses){NAN, NAN, NAN};
    if (!v->data.folder) return 0;
    int status = convert_measure(v, model, &l->base, &l->adapter);
    return status ? status : convert_measure(v, v->out, &l->fused, NULL);
}

static void print_json(const struct convert *v, const lorac_converted *r, double bits, const struct fused_list *list,
                       const struct losses *l)
{
    json_t *loss = json_null();
    if (v->data.folder)
        loss = json_pack("{s:o,s:o,s:o}", "base", json_number(l->base), "adapter", json_number(l->adapter), "fused",
                         json_number(l->fused));
    json_print_line(stdout, json_pack("{s:o,s:s,s:I,s:o,s:o,s:o,s:o}", "out", json_text(v->out, strlen(v->out)),
                                      "format", convert_format(v, "as the base"), "bytes", (json_int_t)r->bytes,
                                      "bits_per_weight", json_number(bits), "relative_error",
                                      json_number(relative_error(list)), "modules", modules_json(list), "loss", loss));
}

static void print_text(const struct convert *v, const lorac_converted *r, double bits, const struct fused_list *list,
                       const struct losses *l)
{
    const struct fused_module *worst = list->items;
    char size[32];
    double all = relative_error(list);
    for (size_t i = 0; i < list->count; i++)
        if (relative(list->items[i].lost, list->items[i].change) > relative(worst->lost, worst->change))
            worst = &list->items[i];
    printf("%s: %zu modules fused, %s, %.3f bits per weight\n", v->out, list->count,
           format_bytes(size, sizeof size, (double)r->bytes), bits);
    if (list->count)
        printf("the written change differs from the adapter's by %.3g of its size; most in %s: %.3g\n", all,
               worst->name ? worst->name : "?", relative(worst->lost, worst->change));
    if (v->data.folder)
        printf("loss on valid: base %.4f, with the adapter %.4f, fused %.4f: %.0f %% of the gain kept\n", l->base,
               l->adapter, l->fused, 100 * kept(l));
}

/* By the losses where they are measured: a change may be far off its adapter's and do the same. */
static bool is_lost(const struct fused_list *list, const struct losses *l)
{
    return isnan(l->fused) ? relative_error(list) > 0.3 : kept(l) < 0.9;
}

static void print_result(const struct convert *v, const lorac_converted *r, const struct fused_list *list,
                         const struct losses *l)
{
    double bits = r->parameters ? 8.0 * (double)r->bytes / (double)r->parameters : 0;
    convert_print_unquantized(v, r);
    (v->common.json ? print_json : print_text)(v, r, bits, list, l);
    if (is_lost(list, l))
        fprintf(stderr,
                "lorac: a part of the adapter is lost in what was written; --error-feedback, --dequantize, --dtype "
                "float32 or more bits (--quantize --q-bits 8) keep more, and the adapter unfused keeps all\n");
}

/* ---- the work ---------------------------------------------------------------------------------- */

/* Splits PATH[:SCALE] of each argument; false without memory. */
static bool split_adapters(const struct text_list *list, char ***paths, double **factors)
{
    char path[4096];
    *paths = calloc(list->count, sizeof **paths);
    *factors = calloc(list->count, sizeof **factors);
    for (size_t i = 0; *paths && *factors && i < list->count; i++) {
        if (!adapter_spec(list->items[i], path, sizeof path, &(*factors)[i])) return false;
        if (!((*paths)[i] = strdup(path))) return false;
    }
    return *paths && *factors;
}

static int fuse(const struct convert *v, const struct engine *e, const char *model, const char *const *paths,
                const double *factors)
{
    struct fused_list list = {NULL, 0};
    struct converting converting = {.modules = &list};
    lorac_converted converted;
    struct losses losses;
    lorac_convert_options o = convert_options(v, &converting);
    o.adapters = paths;
    o.adapter_factors = factors;
    o.adapter_count = v->common.adapters.count;
    o.fused = on_fused;
    lorac_dataset *text;
    int status = convert_calibration(v, e, &text);
    o.calibration = text;
    if (!status) status = convert_write(v, e->runtime, model, &o, &converting, &converted);
    if (text) lorac_dataset_close(text);
    if (!status) {
        status = measure(v, model, &losses);
        if (!status) print_result(v, &converted, &list, &losses);
        lorac_free(converted.unquantized);
    }
    free_list(&list);
    return status;
}

enum { GGUF_F16 = 2 }; /* among --gguf-type's choices */

static int run(struct arguments *a)
{
    struct convert *v = a->values;
    struct engine e;
    char buffer[4096], **paths = NULL;
    double *factors = NULL;
    if (v->export_gguf && option_origin(a, "save-path") != ORIGIN_DEFAULT)
        return fail_usage(v->common.json, "--save-path and --export-gguf: give one of them");
    if (v->export_gguf) {
        v->out = v->export_gguf;
        if (!v->gguf) v->gguf = GGUF_F16;
    }
    int status = convert_check(a, v);
    if (status) return status;
    if (!v->common.adapters.count) return fail_usage(v->common.json, "lorac fuse needs --adapter-path PATH[:SCALE]");
    const char *model = model_path(&v->common, buffer, sizeof buffer);
    if (!model) return 1;
    signals_install();
    status = engine_open(&e, &v->common, convert_parts(v));
    if (!status && !split_adapters(&v->common.adapters, &paths, &factors))
        status = fail_status(v->common.json, LORAC_OUT_OF_MEMORY, NULL, "no memory for the adapters' paths");
    if (!status) status = fuse(v, &e, model, (const char *const *)paths, factors);
    for (size_t i = 0; paths && i < v->common.adapters.count; i++) free(paths[i]);
    free(paths);
    free(factors);
    engine_close(&e);
    return status;
}

const struct command command_fuse = {
    .name = "fuse",
    .summary = "add adapters to the weights of their base",
    .details = "Writes a folder of the base's own kind, type and quantisation, unless the options ask for another. "
               "--data DIR also measures the loss of the base, with the adapters, and of what was written.",
    .examples = "  lorac fuse --model Qwen3-0.6B --adapter-path adapters --save-path fused\n"
                "  lorac fuse --model Qwen3-0.6B --adapter-path style:0.7 --adapter-path tools --save-path both\n"
                "  lorac fuse --model qwen-4bit --adapter-path adapters --save-path fused --dequantize\n"
                "  lorac fuse --model Qwen3-0.6B --adapter-path adapters --export-gguf fused.gguf --gguf-type q4_k_m\n",
    .options = option_table,
    .values_size = sizeof(struct convert),
    .run = run,
};
