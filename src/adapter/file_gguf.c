/* file_gguf.c — GGUF adapters as llama.cpp loads them: "TENSOR.lora_a" and "TENSOR.lora_b" in the order of the base's
 * GGUF, one alpha for all. See file.h. */
#include "adapter/file.h"
#include "quant/format.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- reading -------------------------------------------------------------------------------- */

static const char *const suffixes[2] = {".weight.lora_a", ".weight.lora_b"};

static lorac_status check_kind(const struct gguf *g, const char *key, const char *expected, lorac_error *err)
{
    char *found;
    TRY(gguf_get_text(g, key, &found, err));
    bool is = found && !strcmp(found, expected);
    lorac_status status = is ? LORAC_OK
                             : fail(err, LORAC_FORMAT, g->path, "\"%s\" is \"%s\"; of an adapter it is \"%s\"", key,
                                    found ? found : "", expected);
    mem_free(g->memory, found);
    return status;
}

/* Numbers of other types than views know become floats. */
static lorac_status take(struct adapter_file *f, const struct gguf_tensor *t, bool transposed, struct matrix *slot,
                         lorac_error *err)
{
    const struct quant_format *format = quant_from_ggml(t->type);
    size_t rows = t->shape[1], cols = t->shape[0];
    float *numbers;
    if (t->dims != 2 || !format)
        return fail(err, LORAC_UNSUPPORTED, f->path, "tensor \"%.*s\" is no matrix of a type that lorac reads",
                    (int)t->name.length, t->name.data);
    enum quant_type type = quant_type_of(format);
    if (type == QUANT_F32 || type == QUANT_F16 || type == QUANT_BF16) {
        *slot = (struct matrix){t->data,
                                type == QUANT_F32   ? ST_F32
                                : type == QUANT_F16 ? ST_F16
                                                    : ST_BF16,
                                rows, cols, false};
    } else {
        TRY(file_room(f, rows, cols, slot, &numbers, err));
        format->dequantize(numbers, t->data, rows * cols);
    }
    if (transposed) *slot = (struct matrix){slot->data, slot->dtype, cols, rows, true};
    return LORAC_OK;
}

/* Which of a pair the tensor is, 0 or 1, and how long the base's name is before it; 2: neither. */
static int side_of(const struct gguf_string *name, size_t *length)
{
    for (int side = 0; side < 2; side++) {
        size_t suffix = strlen(suffixes[side]);
        if (name->length <= suffix || memcmp(name->data + name->length - suffix, suffixes[side], suffix)) continue;
        *length = name->length - suffix;
        return side;
    }
    return 2;
}

/* Of the embedding, which is looked up, A lies the other way round. */
lorac_status file_read_gguf(struct adapter_file *f, lorac_error *err)
{
    TRY(check_kind(&f->gguf, "general.type", "adapter", err));
    TRY(check_kind(&f->gguf, "adapter.type", "lora", err));
    if (gguf_find(&f->gguf, "adapter.alora.invocation_tokens"))
        return fail(err, LORAC_UNSUPPORTED, f->path, "is an activated LoRA, which lorac does not know");
    for (size_t i = 0; i < f->gguf.tensor_count; i++) {
        const struct gguf_tensor *t = &f->gguf.tensors[i];
        struct file_module *module;
        size_t length;
        int side = side_of(&t->name, &length);
        if (side == 2)
            return fail(err, LORAC_UNSUPPORTED, f->path, "tensor \"%.*s\" is no part of a low-rank pair",
                        (int)t->name.length, t->name.data);
        TRY(file_module(f, t->name.data, length, &module, err));
        module->embedding = name_embeds(module->name);
        struct matrix *slot = side ? &module->b : &module->a;
        if (slot->data) return fail(err, LORAC_FORMAT, f->path, "\"%s\" is there twice", module->name);
        TRY(take(f, t, !side && module->embedding, slot, err));
    }
    if (f->modules.count) return LORAC_OK;
    return fail(err, LORAC_MISMATCH, f->path, "the file is empty: it adapts nothing");
}

/* Without an alpha, or with 0, llama.cpp does not scale. */
lorac_status file_scale_gguf(struct adapter_file *f, lorac_error *err)
{
    double alpha;
    TRY(gguf_get_float(&f->gguf, "adapter.lora.alpha", 0, &alpha, err));
    if (!isfinite(alpha)) return fail(err, LORAC_FORMAT, f->path, "\"adapter.lora.alpha\" is not finite");
    for (size_t i = 0; i < f->modules.count; i++) {
        struct file_module *m = &file_modules(f)[i];
        m->scale = alpha == 0 ? 1 : alpha / (double)m->a.rows;
    }
    return LORAC_OK;
}
