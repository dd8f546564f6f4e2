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

struct export {
    struct memory *memory;
    const lorac_adapter_export_options *options;
    const char *out;
    struct adapter_file file;
    struct outline outline; /* of the base, where there is one */
    struct file_target target;
    json_t *formats;        /* what was written */
    char left_out[1024];    /* why lorac's own folder lacks a form; "" */
};

static const struct {
    const char *name;
    lorac_status (*write)(const struct adapter_file *f, const struct file_target *t, const char *folder, json_t *config,
                          lorac_error *err);
} folders[] = {[ADAPTER_PEFT] = {"peft", file_write_peft}, [ADAPTER_MLX] = {"mlx", file_write_mlx}};

/* ---- the place ------------------------------------------------------------------------------ */

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

static lorac_status check_format(const char *format, lorac_error *err)
{
    for (size_t i = 0; format && i < sizeof folders / sizeof *folders; i++)
        if (!strcmp(format, folders[i].name)) return LORAC_OK;
    if (!format) return LORAC_OK;
    return fail(err, LORAC_INVALID_ARGUMENT, NULL, "the format \"%s\" is none of peft and mlx", format);
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
    return json_get_float(peft ? c : mlx, peft ? "lora_dropout" : "dropout", 0, &e->target.dropout,
                          e->file.config_path, err);
}

/* PEFT and mlx-lm call the modules of some families otherwise. */
static lorac_status check_names(const struct export *e, enum adapter_format to, lorac_error *err)
{
    if (e->options->base || e->file.format == to) return LORAC_OK;
    for (size_t i = 0; i < e->file.modules.count; i++)
        if (name_needs_base(file_modules(&e->file)[i].name))
            return fail(err, LORAC_INVALID_ARGUMENT, e->file.path,
                        "PEFT and mlx-lm have other names for \"%s\": give --model, the base (its config is enough)",
                        file_modules(&e->file)[i].name);
    return LORAC_OK;
}

/* ---- writing -------------------------------------------------------------------------------- */

static lorac_status write_form(struct export *e, enum adapter_format form, const char *folder, json_t *config,
                               lorac_error *err)
{
    TRY(check_names(e, form, err));
    TRY(folders[form].write(&e->file, &e->target, folder, config, err));
    json_array_append_new(e->formats, json_string(folders[form].name));
    return LORAC_OK;
}

/* lorac's own folder has both forms, but where mlx-lm's cannot hold the adapter. */
static lorac_status write_forms(struct export *e, const char *folder, json_t *config, lorac_error *err)
{
    const char *format = e->options->format;
    for (size_t i = 0; format && i < sizeof folders / sizeof *folders; i++)
        if (!strcmp(format, folders[i].name)) return write_form(e, (enum adapter_format)i, folder, config, err);
    TRY(write_form(e, ADAPTER_PEFT, folder, config, err));
    lorac_error why;
    lorac_status status = write_form(e, ADAPTER_MLX, folder, config, &why);
    if (status == LORAC_UNSUPPORTED) {
        snprintf(e->left_out, sizeof e->left_out, "mlx: %.1000s", why.message);
        return LORAC_OK;
    }
    if (status != LORAC_OK && err) *err = why;
    return status;
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
    TRY(make_beside(e->memory, e->out, write_folder, e, err));
    return hand_out(e, json, err);
}

lorac_status lorac_adapter_export(lorac_runtime *runtime, const char *path, const char *out,
                                  const lorac_adapter_export_options *options, char **json, lorac_error *err)
{
    struct export e = {.memory = &runtime->memory, .options = options, .out = out, .formats = json_array()};
    *json = NULL;
    lorac_status status = check_format(options->format, err);
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
