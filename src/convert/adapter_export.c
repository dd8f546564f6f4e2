/* adapter_export.c — lorac_adapter_export: an adapter in another program's format. */
#include "convert/adapter_open.h"
#include "convert/beside.h"
#include "convert/conversion.h"

#include <lorac/adapter_file.h>

#include <stdio.h>
#include <string.h>

void lorac_adapter_export_options_init(lorac_adapter_export_options *options)
{
    *options = (lorac_adapter_export_options){.struct_size = sizeof *options};
}

struct export
{
    struct memory *memory;
    const lorac_adapter_export_options *options;
    const char *out;
    struct adapter_file file;
    struct outline outline; /* of the base, where there is one */
    struct file_target target;
    json_t *formats;     /* what was written */
    char left_out[1024]; /* why lorac's own folder lacks a form; "" */
};

static const char *const format_names[ADAPTER_FORMATS] = {"peft", "mlx", "gguf"};

/* ---- the place ------------------------------------------------------------------------------ */

static lorac_status check_format(const lorac_adapter_export_options *o, lorac_error *err)
{
    bool known = !o->format;
    for (size_t i = 0; i < ADAPTER_FORMATS; i++) known |= o->format && !strcmp(o->format, format_names[i]);
    if (!known)
        return fail(err, LORAC_INVALID_ARGUMENT, NULL, "the format \"%s\" is none of peft, mlx and gguf", o->format);
    if (!o->format || strcmp(o->format, format_names[ADAPTER_GGUF]) || o->base) return LORAC_OK;
    return fail(err, LORAC_INVALID_ARGUMENT, NULL,
                "a GGUF adapter has the names and the order of rows of its base: give --model (its config is enough)");
}

static bool is_adapter(struct export *e)
{
    if (!os_is_folder(e->out)) return gguf_is(e->out);
    char *config = os_join(e->memory, e->out, "adapter_config.json");
    bool is = config && os_is_file(config);
    mem_free(e->memory, config);
    return is;
}

static lorac_status check_place(struct export *e, const char *source, lorac_error *err)
{
    if (!os_is_folder(e->out) && !os_is_file(e->out)) return LORAC_OK;
    if (!e->options->force)
        return fail(err, LORAC_INVALID_ARGUMENT, e->out, "is there already; choose another name, or --force");
    if (!is_adapter(e)) return fail(err, LORAC_INVALID_ARGUMENT, e->out, "is no adapter; it is not replaced");
    if (os_is_inside(source, e->out))
        return fail(err, LORAC_INVALID_ARGUMENT, e->out, "holds the adapter that is to be exported");
    return LORAC_OK;
}

/* ---- what the target is --------------------------------------------------------------------- */

static const char *source_base(const struct adapter_file *f)
{
    const char *name = json_string_value(json_object_get(f->config, "base_model_name_or_path"));
    return name ? name : json_string_value(json_object_get(f->config, "model"));
}

static lorac_status set_target(struct export *e, lorac_error *err)
{
    const json_t *c = e->file.config, *mlx = json_object_get(c, "lora_parameters");
    enum st_dtype dtype = ST_F32;
    bool peft = e->file.format == ADAPTER_PEFT;
    if (e->options->dtype && !dtype_named(e->options->dtype, &dtype))
        return fail(err, LORAC_INVALID_ARGUMENT, NULL, "the type \"%s\" is none of float32, float16, bfloat16",
                    e->options->dtype);
    e->target = (struct file_target){.base = e->options->base ? &e->outline.linears : NULL,
                                     .layers = e->options->base ? e->outline.config.layers : 0,
                                     .name = source_base(&e->file),
                                     .dtype = e->options->dtype ? (int)dtype : -1};
    return json_get_float(peft ? c : mlx, peft ? "lora_dropout" : "dropout", 0, &e->target.dropout, e->file.config_path,
                          err);
}

/* PEFT changes what a tied embedding looks up and leaves the head as it is; mlx-lm and llama.cpp change both. */
static lorac_status check_embedding(const struct export *e, const struct file_module *m, lorac_error *err)
{
    if (!m->embedding) return LORAC_OK;
    if (!e->options->base)
        return fail(err, LORAC_INVALID_ARGUMENT, e->file.path,
                    "\"%s\" is an embedding: whether it is tied to the head must be known: give --model", m->name);
    if (!e->outline.config.tied_head) return LORAC_OK;
    return fail(err, LORAC_UNSUPPORTED, e->file.path,
                "\"%s\" is an embedding that is tied to the head: PEFT leaves the head as it is, mlx-lm and llama.cpp "
                "do not",
                m->name);
}

/* What another format than the adapter's own would mean otherwise without the base. */
static lorac_status check_names(const struct export *e, enum adapter_format to, lorac_error *err)
{
    if (e->file.format == to) return LORAC_OK;
    if (!e->options->base && e->file.format == ADAPTER_GGUF)
        return fail(err, LORAC_INVALID_ARGUMENT, e->file.path,
                    "a GGUF adapter has the names and the order of rows of its base: give --model (its config is "
                    "enough)");
    for (size_t i = 0; i < e->file.modules.count; i++) {
        const struct file_module *m = &file_modules(&e->file)[i];
        TRY(check_embedding(e, m, err));
        if (!e->options->base && name_needs_base(m->name))
            return fail(err, LORAC_INVALID_ARGUMENT, e->file.path,
                        "PEFT and mlx-lm have other names for \"%s\": give --model, the base (its config is enough)",
                        m->name);
    }
    return LORAC_OK;
}

/* ---- writing -------------------------------------------------------------------------------- */

static lorac_status write_form(struct export *e, enum adapter_format form, const char *folder, json_t *config,
                               lorac_error *err)
{
    TRY(check_names(e, form, err));
    TRY((form == ADAPTER_MLX ? file_write_mlx : file_write_peft)(&e->file, &e->target, folder, config, err));
    json_array_append_new(e->formats, json_string(format_names[form]));
    return LORAC_OK;
}

/* lorac's own folder has both forms, but where mlx-lm's cannot hold the adapter. */
static lorac_status write_own(struct export *e, const char *folder, json_t *config, lorac_error *err)
{
    lorac_error why = {0};
    TRY(write_form(e, ADAPTER_PEFT, folder, config, err));
    lorac_status status = write_form(e, ADAPTER_MLX, folder, config, &why);
    if (status == LORAC_UNSUPPORTED) {
        snprintf(e->left_out, sizeof e->left_out, "mlx: %.1000s", why.message);
        return LORAC_OK;
    }
    if (status != LORAC_OK && err) *err = why;
    return status;
}

static lorac_status write_forms(struct export *e, const char *folder, json_t *config, lorac_error *err)
{
    const char *format = e->options->format;
    if (!format) return write_own(e, folder, config, err);
    bool mlx = !strcmp(format, format_names[ADAPTER_MLX]);
    return write_form(e, mlx ? ADAPTER_MLX : ADAPTER_PEFT, folder, config, err);
}

static lorac_status write_folder(void *user, const char *folder, lorac_error *err)
{
    struct export *e = user;
    json_t *config = json_object();
    lorac_status status = write_forms(e, folder, config, err);
    if (status == LORAC_OK) status = file_write_config(e->memory, folder, config, err);
    json_decref(config);
    return status;
}

static lorac_status hand_out(struct export *e, char **json, lorac_error *err)
{
    json_t *out = json_object();
    json_object_set_new(out, "out", json_string(e->out));
    json_object_set(out, "formats", e->formats);
    json_object_set_new(out, "modules", json_integer((json_int_t)e->file.modules.count));
    json_object_set_new(out, "left_out", *e->left_out ? json_string(e->left_out) : json_null());
    lorac_status status = json_hand_out(e->memory, out, json, err);
    json_decref(out);
    return status;
}

static lorac_status run(struct export *e, char **json, lorac_error *err)
{
    TRY(set_target(e, err));
    if (!e->options->format || strcmp(e->options->format, format_names[ADAPTER_GGUF])) {
        TRY(make_beside(e->memory, e->out, write_folder, e, err));
        return hand_out(e, json, err);
    }
    TRY(check_names(e, ADAPTER_GGUF, err));
    if (!e->options->dtype) e->target.dtype = ST_F32; /* llama.cpp's products with halves round what they multiply */
    TRY(file_write_gguf(&e->file, &e->target, e->out, err));
    json_array_append_new(e->formats, json_string(format_names[ADAPTER_GGUF]));
    return hand_out(e, json, err);
}

lorac_status lorac_adapter_export(lorac_runtime *runtime, const char *path, const char *out,
                                  const lorac_adapter_export_options *options, char **json, lorac_error *err)
{
    struct export e = {.memory = &runtime->memory, .options = options, .out = out, .formats = json_array()};
    *json = NULL;
    lorac_status status = check_format(options, err);
    if (status == LORAC_OK) status = check_place(&e, path, err);
    if (status == LORAC_OK && options->base) status = outline_open(e.memory, options->base, &e.outline, err);
    if (status == LORAC_OK) {
        status = adapter_open(e.memory, path, options->base ? &e.outline : NULL, &e.file, err);
        if (status == LORAC_OK) {
            status = run(&e, json, err);
            file_close(&e.file);
        }
    }
    outline_close(&e.outline);
    json_decref(e.formats);
    return status;
}
