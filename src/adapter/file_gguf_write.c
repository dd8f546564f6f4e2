/* file_gguf_write.c — the GGUF adapter that llama.cpp loads on the base's GGUF: its names, its order of rows, one
 * alpha. See file.h. */
#include "adapter/file.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { VERSION = 3, ALIGNMENT = 32 };

/* ---- tensors -------------------------------------------------------------------------------- */

/* The module's pair for `parts` linears from `l` on, which share a tensor there. */
static lorac_status add_pair(struct file_output *o, const struct file_module *m, const struct linear *l, size_t parts,
                             double factor, lorac_error *err)
{
    const struct gguf_form *g = o->target->base->gguf;
    char name[TENSOR_NAME + 32];
    size_t rows = 0;
    for (size_t p = 0; p < parts; p++) rows += l[p].weight.rows;
    struct output_form a = {.rows = m->a.rows, .transposed = m->embedding, .factor = 1},
                       b = {.rows = rows, .linear = l, .factor = factor};
    snprintf(name, sizeof name, "%s.weight.lora_a", g->tensors[l - g->linears]);
    TRY(output_add(o, name, &m->a, a, err));
    snprintf(name, sizeof name, "%s.weight.lora_b", g->tensors[l - g->linears]);
    return output_add(o, name, &m->b, b, err);
}

/* A module that a GGUF has in several tensors: each gets A and its rows of B. */
static lorac_status add_module(struct file_output *o, const struct file_module *m, double factor, lorac_error *err)
{
    const struct gguf_form *g = o->target->base->gguf;
    const struct linear *l = linear_named(g->linears, g->count, m->name);
    size_t at = (size_t)(l - g->linears);
    bool apart = l->parts > 1 && strcmp(g->tensors[at], g->tensors[at + 1]) != 0;
    if (!apart) return add_pair(o, m, l, l->parts, factor, err);
    for (size_t p = 0; p < l->parts; p++) TRY(add_pair(o, m, l + p, 1, factor, err));
    return LORAC_OK;
}

/* llama.cpp scales by alpha over a module's rank, and takes an alpha of 0 for none. */
static lorac_status choose_alpha(const struct adapter_file *f, float *alpha, lorac_error *err)
{
    *alpha = 0;
    for (size_t i = 0; i < f->modules.count && *alpha == 0; i++)
        *alpha = (float)(file_modules(f)[i].scale * (double)file_modules(f)[i].a.rows);
    if (*alpha != 0 && isfinite(*alpha)) return LORAC_OK;
    return fail(err, LORAC_UNSUPPORTED, f->path, "the scale is %g, which a GGUF adapter cannot say",
                f->modules.count ? file_modules(f)->scale : 0);
}

/* How much a module's scale is beyond what alpha says; what only alpha's rounding makes is none. */
static double factor_of(const struct file_module *m, float alpha)
{
    double factor = m->scale * (double)m->a.rows / (double)alpha;
    return fabs(factor - 1) < 0x1p-22 ? 1 : factor;
}

static lorac_status gather(struct file_output *o, float alpha, lorac_error *err)
{
    const struct adapter_file *f = o->file;
    for (size_t i = 0; i < f->modules.count; i++) {
        const struct file_module *m = &file_modules(f)[i];
        TRY(add_module(o, m, factor_of(m, alpha), err));
    }
    return LORAC_OK;
}

/* ---- the file ------------------------------------------------------------------------------- */

static void put_u32(struct text *t, uint32_t x)
{
    for (int i = 0; i < 4; i++) text_add(t, &(uint8_t){(uint8_t)(x >> (8 * i))}, 1);
}

static void put_u64(struct text *t, uint64_t x)
{
    put_u32(t, (uint32_t)x);
    put_u32(t, (uint32_t)(x >> 32));
}

static void put_string(struct text *t, const char *s)
{
    put_u64(t, strlen(s));
    text_puts(t, s);
}

static void put_text(struct text *t, const char *key, const char *value)
{
    put_string(t, key);
    put_u32(t, GGUF_STRING);
    put_string(t, value);
}

static uint32_t ggml_type(enum st_dtype dtype)
{
    return dtype == ST_F32 ? 0 : dtype == ST_F16 ? 1 : 30;
}

static size_t aligned(size_t at)
{
    return (at + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

/* The table's shapes are the other way round than everywhere else: columns first. */
static void put_header(const struct file_output *o, float alpha, struct text *t)
{
    const struct st_tensor *list = o->tensors.items;
    uint32_t bits;
    size_t at = 0;
    text_puts(t, "GGUF");
    put_u32(t, VERSION);
    put_u64(t, o->tensors.count);
    put_u64(t, 4);
    put_text(t, "general.type", "adapter");
    put_text(t, "general.architecture", o->target->base->gguf->architecture);
    put_text(t, "adapter.type", "lora");
    put_string(t, "adapter.lora.alpha");
    put_u32(t, GGUF_F32);
    memcpy(&bits, &alpha, sizeof bits);
    put_u32(t, bits);
    for (size_t i = 0; i < o->tensors.count; i++) {
        put_string(t, list[i].name);
        put_u32(t, 2);
        put_u64(t, list[i].shape[1]);
        put_u64(t, list[i].shape[0]);
        put_u32(t, ggml_type(list[i].dtype));
        put_u64(t, at);
        at = aligned(at + list[i].bytes);
    }
}

static lorac_status write_file(const struct file_output *o, float alpha, const char *path, lorac_error *err)
{
    static const uint8_t zeros[ALIGNMENT];
    const struct st_tensor *list = o->tensors.items;
    struct text header = {.memory = o->file->memory};
    struct os_writer w;
    put_header(o, alpha, &header);
    lorac_status status =
        header.failed ? fail_memory(err, "a header", header.length) : os_writer_open(o->file->memory, path, &w, err);
    if (status == LORAC_OK) {
        os_writer_write(&w, header.data, header.length);
        os_writer_write(&w, zeros, aligned(header.length) - header.length);
        for (size_t i = 0; i < o->tensors.count; i++) {
            os_writer_write(&w, list[i].data, list[i].bytes);
            os_writer_write(&w, zeros, aligned(list[i].bytes) - list[i].bytes);
        }
        status = os_writer_commit(&w, err);
    }
    text_free(&header);
    return status;
}

static lorac_status check(const struct adapter_file *f, const struct file_target *t, lorac_error *err)
{
    if (!t->base || !t->base->gguf->architecture)
        return fail(err, LORAC_UNSUPPORTED, f->path, "llama.cpp does not know the base's family as it is");
    TRY(file_check_pairs(f, "GGUF", err));
    if (!file_has_dora(f)) return LORAC_OK;
    return fail(err, LORAC_UNSUPPORTED, f->path, "is a DoRA adapter; GGUF holds plain LoRA alone");
}

lorac_status file_write_gguf(const struct adapter_file *f, const struct file_target *t, const char *path,
                             lorac_error *err)
{
    struct file_output o;
    float alpha;
    TRY(check(f, t, err));
    TRY(choose_alpha(f, &alpha, err));
    output_open(&o, f, t);
    lorac_status status = gather(&o, alpha, err);
    if (status == LORAC_OK) status = write_file(&o, alpha, path, err);
    output_close(&o);
    return status;
}
