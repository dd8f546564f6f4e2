/* outline.c — the modules of a base from its config alone. See outline.h. */
#include "model/outline.h"
#include "model/decoder.h"

#include <stdio.h>
#include <string.h>

enum { CONFIG_CAP = 1 << 24, OUTSIDE = 2 };

/* ---- GGUF ----------------------------------------------------------------------------------- */

/* Families whose GGUF says that it is another's, as far as llama.cpp keeps their modules apart as they are. */
static const struct {
    const char *family, *architecture;
} others[] = {{"mistral", "llama"}, {"internlm3", "llama"}, {"olmo3", "olmo2"}};

static const char *architecture_of(const struct family *f)
{
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (!strcmp(others[i].family, f->name)) return others[i].architecture;
    return f->architectures[0];
}

/* What the reader of such a GGUF says of the rows of q and k. */
static bool rows_are_permuted(const char *architecture)
{
    const struct family *f = architecture ? family_of_architecture(architecture) : NULL;
    return f && f->gguf_interleaved;
}

/* ---- modules -------------------------------------------------------------------------------- */

static void spell_layer(const char *pattern, size_t layer, char *text, size_t size)
{
    const char *place = strstr(pattern, "%zu");
    if (place)
        snprintf(text, size, "%.*s%zu%s", (int)(place - pattern), pattern, layer, place + 3);
    else
        snprintf(text, size, "%s", pattern);
}

/* The linears of one module, or of none: fused says how files have them. */
struct bundle {
    enum part fused;
    bool module, tensor; /* Hugging Face's module is fused; GGUF's tensor */
    size_t count, cols;
    const enum part *parts;
    const size_t *rows;
};

static void add(struct outline *o, size_t layer, const struct bundle *b)
{
    for (size_t i = 0; i < b->count; i++) {
        size_t at = o->linears.count++;
        struct linear *l = &o->items[at];
        struct weight_name own = family_name(o->family, b->parts[i]), fused = family_name(o->family, b->fused);
        spell_layer(b->module ? fused.hf : own.hf, layer, o->names[at], MODULE_NAME);
        spell_layer(b->tensor ? fused.gguf : own.gguf, layer, o->gguf.tensors[at], TENSOR_NAME);
        l->name = o->names[at];
        l->layer = layer;
        l->index = at;
        l->weight.rows = b->rows[i];
        l->weight.cols = b->cols;
        l->part = b->module ? i : 0;
        l->parts = b->module ? b->count : 1;
    }
}

static void add_layer(struct outline *o, size_t layer)
{
    static const enum part qkv[] = {PART_Q, PART_K, PART_V}, attention[] = {PART_O}, mlp[] = {PART_GATE, PART_UP},
                           down[] = {PART_DOWN};
    const struct model_config *c = &o->config;
    size_t q = c->heads * c->head_dim, kv = c->kv_heads * c->head_dim, single = c->gated ? 0 : 1;
    bool fused = c->fused_qkv != FUSED_NONE, apart = c->fused_qkv == FUSED_GROUPS && c->rows_permuted;
    decoder_place_rows(c, o->items + o->linears.count);
    add(o, layer, &(struct bundle){PART_QKV, fused, fused && !apart, 3, c->hidden, qkv, (size_t[]){q, kv, kv}});
    add(o, layer, &(struct bundle){PART_O, false, false, 1, q, attention, &c->hidden});
    if (c->fused_gate_up) o->items[o->linears.count + 1].order.first = c->intermediate;
    add(o, layer,
        &(struct bundle){PART_GATE_UP, c->fused_gate_up, c->fused_gate_up, 2 - single, c->hidden, mlp + single,
                         (size_t[]){c->intermediate, c->intermediate}});
    add(o, layer, &(struct bundle){PART_DOWN, false, false, 1, c->intermediate, down, &c->hidden});
}

static lorac_status fill(struct outline *o, bool sees, const char *path, lorac_error *err)
{
    static const enum part embedding[] = {PART_EMBEDDING}, head[] = {PART_HEAD};
    const struct model_config *c = &o->config;
    TRY(config_check(c, path, err));
    size_t count = c->layers * 7 + OUTSIDE;
    o->items = mem_array(o->memory, count, sizeof *o->items);
    o->names = mem_array(o->memory, count, sizeof *o->names);
    o->gguf.tensors = mem_array(o->memory, count, sizeof *o->gguf.tensors);
    if (!o->items || !o->names || !o->gguf.tensors) return fail_memory(err, "a model's modules", count);
    for (size_t i = 0; i < c->layers; i++) add_layer(o, i);
    add(o, SIZE_MAX, &(struct bundle){PART_EMBEDDING, false, false, 1, c->vocab, embedding, &c->hidden});
    if (!c->tied_head) add(o, SIZE_MAX, &(struct bundle){PART_HEAD, false, false, 1, c->hidden, head, &c->vocab});
    o->gguf.linears = o->items;
    o->gguf.count = o->linears.count;
    o->linears = (struct linear_list){o->items, o->linears.count, family_modules(o->family, sees), &o->gguf};
    return LORAC_OK;
}

/* ---- opening -------------------------------------------------------------------------------- */

static lorac_status read_folder(struct outline *o, const char *path, bool *sees, lorac_error *err)
{
    char *file = os_join(o->memory, path, "config.json");
    json_t *config = NULL;
    lorac_status status =
        file ? json_read_file(o->memory, file, CONFIG_CAP, &config, err) : fail_memory(err, "a path", strlen(path));
    if (status == LORAC_OK) status = config_from_json(config, file, &o->family, &o->config, err);
    *sees = json_is_object(json_object_get(config, "text_config"));
    if (status == LORAC_OK) {
        o->gguf.architecture = architecture_of(o->family);
        o->config.rows_permuted = rows_are_permuted(o->gguf.architecture);
    }
    json_decref(config);
    mem_free(o->memory, file);
    return status;
}

static lorac_status read_gguf(struct outline *o, const char *path, lorac_error *err)
{
    struct gguf g;
    TRY(gguf_open(o->memory, path, true, &g, err));
    lorac_status status = config_from_gguf(&g, &o->family, &o->config, err);
    if (status == LORAC_OK) o->gguf.architecture = architecture_of(o->family);
    gguf_close(&g);
    return status;
}

lorac_status outline_open(struct memory *m, const char *path, struct outline *o, lorac_error *err)
{
    bool sees = false;
    *o = (struct outline){.memory = m};
    lorac_status status = os_is_folder(path) ? read_folder(o, path, &sees, err) : read_gguf(o, path, err);
    if (status == LORAC_OK) status = fill(o, sees, path, err);
    if (status != LORAC_OK) outline_close(o);
    return status;
}

lorac_status outline_of_model(const struct lorac_model *model, struct outline *o, lorac_error *err)
{
    *o = (struct outline){.memory = &model->runtime->memory, .family = model->family, .config = model->config};
    o->gguf.architecture = architecture_of(o->family);
    o->config.rows_permuted = o->config.rows_permuted || rows_are_permuted(o->gguf.architecture);
    lorac_status status = fill(o, model->sees, model->path, err);
    if (status != LORAC_OK) outline_close(o);
    return status;
}

void outline_close(struct outline *o)
{
    mem_free(o->memory, o->items);
    mem_free(o->memory, o->names);
    mem_free(o->memory, o->gguf.tensors);
    *o = (struct outline){0};
}
