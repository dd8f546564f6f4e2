/* gguf_plan.c — which tensors a GGUF has, and of which rows of the folder's they are made. See conversion.h.
 *
 * Names, places of rows and what is in a layer come from the family's file and the loader, which read such files. */
#include "convert/conversion.h"

#include "model/decoder.h"
#include "model/weights_list.h"

#include <stdio.h>
#include <string.h>

struct planning {
    struct conversion *c;
    struct model_config shape; /* the model's, its rows of q and k placed as the GGUF has them */
    size_t layer;
    lorac_error *err;
};

/* ---- the source ---------------------------------------------------------------------------- */

/* The tensor that the module has for its weight, whatever scheme stores it; NULL: none. */
static struct source *find_weight(const struct planning *p, struct weight_name name, const char *suffix)
{
    static const char *const packed[] = {".qweight", ".weight_packed", ".weight_blocks"};
    char text[WEIGHT_NAME];
    weights_spell(p->c->weights, name, p->layer, suffix, text);
    struct source *s = weights_find(p->c->weights, text);
    for (size_t i = 0; !s && !strcmp(suffix, ".weight") && i < sizeof packed / sizeof *packed; i++) {
        weights_spell(p->c->weights, name, p->layer, packed[i], text);
        s = weights_find(p->c->weights, text);
    }
    return s;
}

/* The folder's tensor of that name, as an item. */
static struct item item_of(const struct planning *p, const char *name)
{
    const struct st_folder *f = p->c->source;
    struct item item = {.dtype = ST_F32}; /* rounded once, to what is written */
    for (size_t i = 0; i < f->shard_count && !item.source; i++) {
        item.source = safetensors_find(&f->shards[i], name);
        item.file = &f->shards[i].file;
    }
    const struct st_tensor *t = item.source;
    item.stored = source_matrix(p->c, t);
    item.packed = source_is_packed(item.stored);
    item.fused = fusion_changes(p->c, item.stored);
    item.matrix = item.packed || t->dims == 2;
    item.rows = item.packed ? item.stored->matrix.rows : item.matrix ? t->shape[0] : 1;
    item.cols = item.packed ? item.stored->matrix.cols : t->shape[item.matrix];
    return item;
}

static lorac_status find_source(const struct planning *p, struct weight_name name, const char *suffix,
                                struct item *item, bool *found)
{
    struct source *s = find_weight(p, name, suffix);
    *found = s && !s->used;
    if (!*found) return LORAC_OK;
    if (s->dims < 1 || s->dims > 2)
        return fail(p->err, LORAC_UNSUPPORTED, p->c->model, "tensor \"%s\" has %zu dimensions", s->name, s->dims);
    *item = item_of(p, s->name);
    if (!item->packed && !is_number(item->source->dtype))
        return fail(p->err, LORAC_UNSUPPORTED, p->c->model, "tensor \"%s\" is of type %s; F32, F16 and BF16 are read",
                    s->name, s->type_name);
    weights_use(p->c->weights, s);
    return LORAC_OK;
}

/* ---- tensors and items --------------------------------------------------------------------- */

static lorac_status spell(const struct planning *p, const char *gguf, const char *suffix, char text[ITEM_NAME])
{
    const char *place = strstr(gguf, "%zu");
    int length = place
                     ? snprintf(text, ITEM_NAME, "%.*s%zu%s%s", (int)(place - gguf), gguf, p->layer, place + 3, suffix)
                     : snprintf(text, ITEM_NAME, "%s%s", gguf, suffix);
    if (length > 0 && length < ITEM_NAME) return LORAC_OK;
    return fail(p->err, LORAC_UNSUPPORTED, p->c->model, "the name \"%s\" is too long", gguf);
}

static lorac_status add_tensor(const struct planning *p, const char *name, enum quant_type type, size_t dims,
                               size_t rows, size_t cols, size_t *tensor)
{
    const size_t shape[] = {cols, rows};
    *tensor = gguf_put_tensor(&p->c->draft, name, quant_formats[type].ggml_type, dims, shape);
    return p->c->draft.failed ? fail_memory(p->err, "the list of tensors", p->c->draft.tensors.count) : LORAC_OK;
}

/* Numbers of the source, of which the item may be some. */
static size_t whole_of(const struct item *item)
{
    return item->packed ? item->stored->matrix.rows * item->stored->matrix.cols
                        : item->source->bytes / st_dtype_bytes(item->source->dtype);
}

static lorac_status add_item(const struct planning *p, const struct item *item)
{
    struct conversion *c = p->c;
    struct item *added = list_add(&c->items);
    if (!added) return fail_memory(p->err, "the list of tensors", sizeof *item);
    *added = *item;
    if (quant_formats[item->type].block > 1)
        TRY(imatrix_find(&c->imatrix, item->name, item->cols, &added->importance, p->err));
    added->bytes = plain_bytes(item, item_elements(item));
    added->tensors = 1;
    added->read = (size_t)((double)item->source->bytes * (double)item_elements(item) / (double)whole_of(item));
    c->source_bytes += added->read;
    return LORAC_OK;
}

/* Vectors, norms and positions stay F32, as llama.cpp wants them. */
static enum quant_type type_for(const struct planning *p, enum part part, const struct item *item, bool vector)
{
    static const bool small[PARTS] = {
        [PART_POSITIONS] = true, [PART_FINAL_NORM] = true, [PART_ATTENTION_NORM] = true, [PART_ATTENTION_AFTER] = true,
        [PART_MLP_NORM] = true,  [PART_MLP_AFTER] = true,  [PART_Q_NORM] = true,         [PART_K_NORM] = true,
    };
    const struct model_config *c = &p->shape;
    struct mix_model model = {.layers = c->layers,
                              .heads = c->heads,
                              .kv_heads = c->kv_heads,
                              .tied = c->tied_head,
                              .importance = p->c->imatrix.entries.count};
    return vector || small[part] ? QUANT_F32 : quantize_mix_type(p->c->kind, &model, item->name, item->cols);
}

static lorac_status note_fallback(const struct planning *p, const struct item *item)
{
    struct conversion *c = p->c;
    if (item->type == QUANT_F32 || item->cols % quant_formats[c->kind->type].block == 0) return LORAC_OK;
    text_printf(&c->undivided, "%s\n", item->name);
    c->undivided_count++;
    return c->undivided.failed ? fail_memory(p->err, "a list of names", c->undivided.length) : LORAC_OK;
}

/* The whole tensor, as one of the GGUF's. */
static lorac_status add_whole(const struct planning *p, enum part part, const char *gguf, const char *suffix,
                              struct item *item)
{
    TRY(spell(p, gguf, suffix, item->name));
    item->type = type_for(p, part, item, !item->matrix);
    TRY(add_tensor(p, item->name, item->type, item->matrix ? 2 : 1, item->rows, item->cols, &item->tensor));
    TRY(note_fallback(p, item));
    return add_item(p, item);
}

/* ---- modules whose rows move --------------------------------------------------------------- */

/* Parts of a module: each a tensor of its own, or all one tensor. */
struct split {
    const char *gguf[3]; /* of the parts; or the first alone */
    size_t count;
    struct row_order order[3];
    size_t rows[3];
};

/* `item` is the whole; of a bias each row is one number. */
static lorac_status add_split(const struct planning *p, const struct split *s, const char *suffix, struct item *item)
{
    bool vector = !item->matrix, one = s->count > 1 && !s->gguf[1];
    size_t all = vector ? item->cols : item->rows, first = 0, sum = 0, cols = vector ? 1 : item->cols;
    for (size_t i = 0; i < s->count; i++) sum += s->rows[i];
    if (sum != all)
        return fail(p->err, LORAC_FORMAT, p->c->model, "tensor \"%s\" has %zu rows, expected %zu", item->source->name,
                    all, sum);
    for (size_t i = 0; i < s->count; first += s->rows[i++]) {
        struct item part = *item;
        size_t rows = one ? sum : s->rows[i];
        part.rows = s->rows[i];
        part.cols = cols;
        part.order = s->order[i];
        part.first = s->order[i].first;
        part.place = one ? first * cols : 0;
        TRY(spell(p, s->gguf[one ? 0 : i], suffix, part.name));
        part.type = type_for(p, PART_QKV, &part, vector);
        if (!one || !i) {
            TRY(add_tensor(p, part.name, part.type, vector ? 1 : 2, vector ? 1 : rows, vector ? rows : cols,
                           &item->tensor));
            TRY(note_fallback(p, &part));
        }
        part.tensor = item->tensor;
        TRY(add_item(p, &part));
    }
    return LORAC_OK;
}

static lorac_status add_qkv(const struct planning *p, const char *suffix, struct item *item)
{
    static const enum part parts[3] = {PART_Q, PART_K, PART_V};
    const struct model_config *c = &p->shape;
    const char *fused = family_name(p->c->family, PART_QKV).gguf;
    struct split s = {.count = 3, .gguf = {fused}};
    struct linear qkv[3] = {0};
    decoder_place_rows(c, qkv);
    for (size_t i = 0; i < 3; i++) {
        s.order[i] = qkv[i].order;
        s.rows[i] = (i ? c->kv_heads : c->heads) * c->head_dim;
        if (!*fused) s.gguf[i] = family_name(p->c->family, parts[i]).gguf;
    }
    return add_split(p, &s, suffix, item);
}

static lorac_status add_gate_up(const struct planning *p, const char *suffix, struct item *item)
{
    size_t rows = p->shape.intermediate;
    struct split s = {.count = 2,
                      .gguf = {family_name(p->c->family, PART_GATE).gguf, family_name(p->c->family, PART_UP).gguf},
                      .rows = {rows, rows}};
    s.order[1].first = rows;
    return add_split(p, &s, suffix, item);
}

static lorac_status add_rows(const struct planning *p, enum part part, const char *suffix, struct item *item)
{
    size_t linear = (size_t)(part - PART_Q), heads = linear ? p->shape.kv_heads : p->shape.heads;
    struct linear qkv[3] = {0};
    decoder_place_rows(&p->shape, qkv);
    struct split s = {.count = 1,
                      .gguf = {family_name(p->c->family, part).gguf},
                      .order = {qkv[linear].order},
                      .rows = {heads * p->shape.head_dim}};
    return add_split(p, &s, suffix, item);
}

/* ---- parts --------------------------------------------------------------------------------- */

/* Families share names: which part a name means the config tells. */
static bool has_part(const struct model_config *c, enum part part)
{
    switch ((int)part) {
    case PART_ATTENTION_NORM:
        return c->norms & NORM_BEFORE;
    case PART_MLP_NORM:
        return c->norms & NORM_BEFORE && c->order != BLOCK_PARALLEL;
    case PART_ATTENTION_AFTER:
    case PART_MLP_AFTER:
        return c->norms & NORM_AFTER;
    case PART_HEAD:
        return !c->tied_head;
    }
    return true;
}

static lorac_status add_source(const struct planning *p, enum part part, const char *suffix, struct item *item)
{
    const struct model_config *c = &p->shape;
    const char *gguf = family_name(p->c->family, part).gguf;
    bool norm = strstr(gguf, "norm"), weight = !strcmp(suffix, ".weight");
    if (norm && weight && c->norm_plus_one) item->add = 1;
    if (part == PART_QKV && (c->fused_qkv == FUSED_GROUPS || !*gguf)) return add_qkv(p, suffix, item);
    if (part == PART_GATE_UP && !*gguf) return add_gate_up(p, suffix, item);
    if ((part == PART_Q || part == PART_K) && c->rows_permuted) return add_rows(p, part, suffix, item);
    if (c->conv1d && item->matrix && p->layer != SIZE_MAX && !norm) {
        item->inward = item->transposed = true;
        item->rows = item->source->shape[1];
        item->cols = item->source->shape[0];
    }
    return add_whole(p, part, gguf, suffix, item);
}

/* A norm for each head, stored one by one. */
static lorac_status add_head_norms(const struct planning *p, enum part part)
{
    struct weight_name name = family_name(p->c->family, part);
    size_t heads = part == PART_Q_NORM ? p->shape.heads : p->shape.kv_heads, tensor = 0;
    for (size_t h = 0; h < heads; h++) {
        char suffix[40];
        struct item item;
        bool found;
        snprintf(suffix, sizeof suffix, ".norms.%zu.weight", h);
        TRY(find_source(p, name, suffix, &item, &found));
        if (!found) return LORAC_OK;
        TRY(spell(p, name.gguf, ".weight", item.name));
        if (item.rows * item.cols != p->shape.head_dim)
            return fail(p->err, LORAC_FORMAT, p->c->model, "tensor \"%s\" is no vector of %zu numbers",
                        item.source->name, p->shape.head_dim);
        if (!h) TRY(add_tensor(p, item.name, QUANT_F32, 2, heads, p->shape.head_dim, &tensor));
        item.type = QUANT_F32;
        item.tensor = tensor;
        item.place = h * p->shape.head_dim;
        TRY(add_item(p, &item));
    }
    return LORAC_OK;
}

static lorac_status add_part(const struct planning *p, enum part part)
{
    static const char *const suffixes[] = {".weight", ".bias"};
    struct weight_name name = family_name(p->c->family, part);
    if (!name.hf || !has_part(&p->shape, part)) return LORAC_OK;
    for (size_t i = 0; i < 2; i++) {
        struct item item;
        bool found;
        TRY(find_source(p, name, suffixes[i], &item, &found));
        if (found) TRY(add_source(p, part, suffixes[i], &item));
    }
    bool headwise = p->shape.qk_norm == QK_NORM_HEADS && (part == PART_Q_NORM || part == PART_K_NORM);
    return headwise ? add_head_norms(p, part) : LORAC_OK;
}

/* ---- divisors of the rotary frequencies ------------------------------------------------------ */

static lorac_status add_divisors(const struct planning *p)
{
    struct conversion *c = p->c;
    size_t count = config_rope_divisors(&p->shape, c->divisors);
    for (size_t i = 0; i < count; i++) {
        const struct rope_divisors *d = &c->divisors[i];
        struct st_tensor *t = &c->divisor_tensors[i];
        struct item item = {.source = t, .rows = 1, .cols = d->count, .type = QUANT_F32, .dtype = ST_F32};
        *t = (struct st_tensor){.dtype = ST_F32, .dims = 1, .shape = {d->count}, .bytes = d->count * sizeof(float)};
        t->data = (const uint8_t *)d->values;
        snprintf(item.name, sizeof item.name, "%s", d->name);
        TRY(add_tensor(p, d->name, QUANT_F32, 1, 1, d->count, &item.tensor));
        TRY(add_item(p, &item));
    }
    return LORAC_OK;
}

/* ---- all ----------------------------------------------------------------------------------- */

static lorac_status add_all(struct planning *p)
{
    static const struct weight_name stored = {"lm_head.weight", "output.weight"};
    p->layer = SIZE_MAX;
    for (int part = 0; part < PART_ATTENTION_NORM; part++) TRY(add_part(p, (enum part)part));
    if (p->shape.tied_head) weights_ignore(p->c->weights, stored, SIZE_MAX);
    TRY(add_divisors(p));
    for (p->layer = 0; p->layer < p->shape.layers; p->layer++) {
        for (int part = PART_ATTENTION_NORM; part < PARTS; part++) TRY(add_part(p, (enum part)part));
        decoder_ignore_buffers(p->c->weights, p->layer);
    }
    return LORAC_OK;
}

lorac_status gguf_plan(struct conversion *c, lorac_error *err)
{
    const struct family *reader;
    const char *architecture;
    gguf_draft_init(&c->draft, c->memory, c->out);
    TRY(model_open_weights(c->runtime, c->model, &c->listed, &c->weights, err));
    c->shape = c->listed->config;
    TRY(config_gguf_architecture(c->family, c->model, &architecture, &reader, err));
    gguf_put_text(&c->draft, "general.architecture", architecture);
    config_to_gguf(c->family, architecture, &c->shape, &c->draft);
    struct planning p = {.c = c, .shape = c->shape, .err = err};
    p.shape.rows_permuted = reader->gguf_interleaved;
    TRY(add_all(&p));
    if (!c->base) TRY(weights_finish(c->weights, err)); /* opening a base has looked at all of its tensors */
    TRY(gguf_draft_check(&c->draft, err));
    return config_gguf_check(&c->draft, &c->shape, err);
}

void gguf_plan_close(struct conversion *c)
{
    gguf_draft_free(&c->draft);
    weights_close(c->weights);
    lorac_model_release(c->listed);
}
