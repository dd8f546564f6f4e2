/* convert.c — lorac_convert: the folder is made under another name beside its place, opened to see that it is whole,
 * and renamed. A GGUF file: gguf_file.c. */
#include "convert/beside.h"
#include "convert/conversion.h"

#include <lorac/model.h>

#include <string.h>

void lorac_convert_options_init(lorac_convert_options *options)
{
    *options = (lorac_convert_options){.struct_size = sizeof *options, .shard_bytes = (size_t)5 << 30};
}

/* ---- the place ----------------------------------------------------------------------------------- */

/* What --force replaces must look like what it writes, and must not hold the source. */
static lorac_status check_replaced(const struct conversion *c, lorac_error *err)
{
    if (c->kind && gguf_is(c->out)) return LORAC_OK;
    if (c->kind) return fail(err, LORAC_INVALID_ARGUMENT, c->out, "is no GGUF file; it is not replaced");
    char *config = os_join(c->memory, c->out, "config.json");
    bool model = config && os_is_file(config);
    mem_free(c->memory, config);
    if (!config) return fail_memory(err, "a path", strlen(c->out));
    if (!model) return fail(err, LORAC_INVALID_ARGUMENT, c->out, "is no model's folder; it is not replaced");
    if (os_is_inside(c->model, c->out))
        return fail(err, LORAC_INVALID_ARGUMENT, c->out, "holds the model that is to be converted");
    return LORAC_OK;
}

static lorac_status check_place(const struct conversion *c, lorac_error *err)
{
    if (!os_is_folder(c->out) && !os_is_file(c->out)) return LORAC_OK;
    if (!c->options->force)
        return fail(err, LORAC_INVALID_ARGUMENT, c->out, "is there already; choose another name, or --force");
    return check_replaced(c, err);
}

/* ---- the work ------------------------------------------------------------------------------------ */

/* Whatever was written opens: a tensor that is missing or misshapen shows before the folder has its name. */
static lorac_status check_opens(struct conversion *c, const char *folder, lorac_error *err)
{
    lorac_model *model;
    TRY(lorac_model_open(c->runtime, folder, &model, err));
    lorac_model_release(model);
    return LORAC_OK;
}

static lorac_status make_folder(void *user, const char *folder, lorac_error *err)
{
    struct conversion *c = user;
    TRY(conversion_write(c, folder, err));
    TRY(conversion_write_rest(c, folder, err));
    return check_opens(c, folder, err);
}

static lorac_status check_options(const struct conversion *c, lorac_error *err)
{
    const lorac_convert_options *o = c->options;
    if (o->gguf_type && !c->kind)
        return fail(err, LORAC_INVALID_ARGUMENT, NULL, "\"%.40s\" is no type of GGUF: f16, q8_0, q4_k_m and the like",
                    o->gguf_type);
    if (o->imatrix && !c->kind)
        return fail(err, LORAC_INVALID_ARGUMENT, NULL, "an imatrix is for the quantised types of a GGUF file");
    if (c->kind && (o->mode || o->dtype || o->dequantize || o->calibration || o->target_bits > 0))
        return fail(err, LORAC_INVALID_ARGUMENT, NULL,
                    "a GGUF has its own type: neither mode nor dtype goes with it, and it is always dequantised");
    return LORAC_OK;
}

static void describe(struct conversion *c, lorac_converted *converted)
{
    const struct item *items = c->items.items;
    *converted = (lorac_converted){.struct_size = converted->struct_size, .unquantized_count = c->undivided_count};
    for (size_t i = 0; i < c->items.count; i++) {
        converted->parameters += item_elements(&items[i]);
        converted->bytes += items[i].bytes;
        converted->quantized += items[i].quantized || quant_formats[items[i].type].block > 1;
    }
    if (c->same) converted->parameters = c->base->parameters; /* codes are copied as words */
    text_puts(&c->undivided, "");
    converted->unquantized = text_release(&c->undivided);
}

lorac_status lorac_convert(lorac_runtime *runtime, const char *model, const char *out,
                           const lorac_convert_options *options, lorac_converted *converted, lorac_error *err)
{
    struct conversion *c = mem_alloc(&runtime->memory, sizeof *c);
    if (!c) return fail_memory(err, "a conversion", sizeof *c);
    const char *type = options->gguf_type;
    *c = (struct conversion){.runtime = runtime,
                             .kind = type ? quantize_mix_named(type) : NULL,
                             .memory = &runtime->memory,
                             .options = options,
                             .model = model,
                             .out = out,
                             .items = {.memory = &runtime->memory, .size = sizeof(struct item)},
                             .undivided = {.memory = &runtime->memory}};
    lorac_status status = check_options(c, err);
    if (status == LORAC_OK) status = check_place(c, err);
    if (status == LORAC_OK) status = conversion_open(c, err);
    if (status == LORAC_OK) status = c->kind ? gguf_make(c, err) : make_beside(c->memory, c->out, make_folder, c, err);
    if (status == LORAC_OK) describe(c, converted);
    conversion_close(c);
    mem_free(&runtime->memory, c);
    return status;
}
