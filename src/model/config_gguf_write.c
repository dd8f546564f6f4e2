/* config_gguf_write.c — a model_config as a GGUF's metadata, and the proof that the file says what the model is. See
 * config_gguf.h. */
#include "model/config_gguf.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { KEY_NAME = 160 };

struct metadata {
    struct gguf_draft *draft;
    const char *architecture;
};

static const char *spell(const struct metadata *m, const char *name, char key[KEY_NAME])
{
    snprintf(key, KEY_NAME, "%s.%s", m->architecture, name);
    return key;
}

static void put_float(const struct metadata *m, const char *name, double value)
{
    char key[KEY_NAME];
    gguf_put_float(m->draft, spell(m, name, key), value);
}

static void put_text(const struct metadata *m, const char *name, const char *value)
{
    char key[KEY_NAME];
    gguf_put_text(m->draft, spell(m, name, key), value);
}

static void put_size(const struct metadata *m, const char *name, size_t value)
{
    char key[KEY_NAME];
    gguf_put_size(m->draft, spell(m, name, key), value);
}

/* ---- the table of keys --------------------------------------------------------------------- */

static bool has_window(const struct model_config *c)
{
    for (size_t i = 0; i < c->layers; i++)
        if (c->window && c->kind[i] & LAYER_WINDOW) return true;
    return false;
}

/* Whether the model has what the key speaks of, apart from its value. */
static bool is_meant(const struct config_key *key, const struct model_config *c)
{
    if (!strcmp(key->name, "attention.layer_norm_rms_epsilon")) return !c->layer_norm;
    if (!strcmp(key->name, "attention.layer_norm_epsilon")) return c->layer_norm;
    if (!strcmp(key->name, "attention.sliding_window")) return has_window(c);
    if (!strcmp(key->name, "rope.freq_base_swa")) return c->local_rope;
    return strncmp(key->name, "rope.", 5) || !c->positions;
}

static bool family_reads(const struct family *f, size_t offset)
{
    for (const struct config_key *k = f->keys; k && k->name; k++)
        if (k->kind != KEY_KNOWN && k->offset == offset) return true;
    return false;
}

/* A number that changes nothing is left out, unless the family's models have it: 0 of all, 1 of scales. */
static bool is_worth(const struct family *f, const struct config_key *key, double value)
{
    bool scale = strstr(key->name, "_scale") || !strcmp(key->name, "logit_scale");
    return value != 0 && (!scale || value != 1 || family_reads(f, key->offset));
}

static void put_keys(const struct metadata *m, const struct family *f, const struct model_config *c)
{
    for (const struct config_key *key = config_gguf_keys; key->name; key++) {
        const void *member = (const char *)c + key->offset;
        if (!is_meant(key, c)) continue;
        if (key->kind == KEY_SIZE && *(const size_t *)member) put_size(m, key->name, *(const size_t *)member);
        if (key->kind == KEY_FLOAT && is_worth(f, key, *(const double *)member))
            put_float(m, key->name, *(const double *)member);
    }
    put_size(m, "attention.value_length", c->head_dim);
    put_size(m, "vocab_size", c->vocab);
}

/* ---- windows and rope ------------------------------------------------------------------------ */

/* Where layers differ. */
static void put_windows(const struct metadata *m, const struct model_config *c)
{
    uint8_t pattern[MAX_LAYERS];
    char key[KEY_NAME];
    size_t windows = 0;
    for (size_t i = 0; i < c->layers; i++) windows += pattern[i] = (c->kind[i] & LAYER_WINDOW) != 0;
    if (c->window && windows && windows < c->layers)
        gguf_put_array(m->draft, spell(m, "attention.sliding_window_pattern", key), GGUF_BOOL, c->layers, pattern,
                       c->layers);
}

static void put_yarn(const struct metadata *m, const struct rope_config *r)
{
    double usual = r->factor <= 1 ? 1 : 0.1 * log(r->factor) + 1; /* llama.cpp multiplies it with attn_factor */
    if (r->beta_fast != 32) put_float(m, "rope.scaling.yarn_beta_fast", r->beta_fast);
    if (r->beta_slow != 1) put_float(m, "rope.scaling.yarn_beta_slow", r->beta_slow);
    if (fabs(r->attention_factor / usual - 1) > 1e-9)
        put_float(m, "rope.scaling.attn_factor", r->attention_factor / usual);
}

static void put_rope(const struct metadata *m, const struct model_config *c)
{
    const struct rope_config *r = &c->rope[ROPE_FULL];
    if (c->positions || r->scaling == ROPE_NONE || r->scaling == ROPE_LLAMA3) return;
    if (r->scaling != ROPE_LINEAR) put_size(m, "rope.scaling.original_context_length", (size_t)r->original_context);
    if (r->scaling == ROPE_LONG) put_float(m, "rope.scaling.attn_factor", r->attention_factor);
    if (r->scaling != ROPE_LINEAR && r->scaling != ROPE_YARN) return;
    put_text(m, "rope.scaling.type", r->scaling == ROPE_YARN ? "yarn" : "linear");
    put_float(m, "rope.scaling.factor", r->factor);
    if (r->scaling == ROPE_YARN) put_yarn(m, r);
}

size_t config_rope_divisors(const struct model_config *c, struct rope_divisors out[ROPE_DIVISORS])
{
    const struct rope_config *r = &c->rope[ROPE_FULL];
    struct rope_config plain = *r;
    float scaled[MAX_HEAD_DIM / 2], own[MAX_HEAD_DIM / 2], factor;
    if (c->positions || (r->scaling != ROPE_LLAMA3 && r->scaling != ROPE_LONG)) return 0;
    size_t count = r->scaling == ROPE_LONG ? 2 : 1;
    for (size_t i = 0; i < count; i++) {
        out[i] = (struct rope_divisors){.name = count == 1 ? "rope_freqs.weight"
                                                : i        ? "rope_factors_long.weight"
                                                           : "rope_factors_short.weight",
                                        .count = r->dims / 2};
        if (count == 2) memcpy(out[i].values, r->divisors[i], sizeof out[i].values);
    }
    if (count == 2) return count;
    plain.scaling = ROPE_NONE;
    rope_frequencies(r, 0, NULL, scaled, &factor);
    rope_frequencies(&plain, 0, NULL, own, &factor);
    for (size_t i = 0; i < r->dims / 2; i++) out->values[i] = own[i] / scaled[i];
    return count;
}

/* ---- writing ------------------------------------------------------------------------------- */

lorac_status config_gguf_architecture(const struct family *f, const char *path, const char **architecture,
                                      const struct family **reader, lorac_error *err)
{
    *architecture = f->architectures[0] ? f->architectures[0] : f->gguf_as;
    *reader = *architecture ? family_of_architecture(*architecture) : NULL;
    if (*reader) return LORAC_OK;
    return fail(err, LORAC_UNSUPPORTED, path, "llama.cpp has no architecture for \"%s\": it has no GGUF", f->name);
}

void config_to_gguf(const struct family *f, const char *architecture, const struct model_config *c,
                    struct gguf_draft *d)
{
    struct metadata m = {d, architecture};
    struct model_config said = *c;
    if (f->to_gguf) f->to_gguf(&said, d);
    put_keys(&m, f, &said);
    put_windows(&m, &said);
    put_rope(&m, &said);
}

/* ---- reading back -------------------------------------------------------------------------- */

#define FIELD(member, type, what)                                                                                      \
    {                                                                                                                  \
        what, offsetof(struct model_config, member), sizeof(((struct model_config *)0)->member), type                  \
    }
static const struct field {
    const char *what;
    size_t offset, bytes;
    bool real;
} fields[] = {
    FIELD(layers, false, "layers"),
    FIELD(hidden, false, "width"),
    FIELD(intermediate, false, "width of the MLPs"),
    FIELD(heads, false, "heads"),
    FIELD(kv_heads, false, "heads of keys and values"),
    FIELD(head_dim, false, "dimensions of a head"),
    FIELD(vocab, false, "vocabulary"),
    FIELD(context, false, "context"),
    FIELD(positions, false, "learned positions"),
    FIELD(norm_eps, true, "epsilon of norms"),
    FIELD(layer_norm, false, "kind of norms"),
    FIELD(norm_plain, false, "norms without weights"),
    FIELD(norms, false, "places of norms"),
    FIELD(order, false, "order of the blocks"),
    FIELD(qk_norm, false, "norms of q and k"),
    FIELD(activation, false, "activation"),
    FIELD(gated, false, "gate of the MLPs"),
    FIELD(tied_head, false, "tied head"),
    FIELD(embedding_scale, true, "scale of the embeddings"),
    FIELD(residual_scale, true, "scale of the blocks' outputs"),
    FIELD(logit_scale, true, "scale of the logits"),
    FIELD(final_softcap, true, "soft cap of the logits"),
    FIELD(qkv_limit, true, "limit of q, k and v"),
};

static bool near(double a, double b)
{
    return a == b || fabs(a - b) <= 2e-6 * fmax(fabs(a), fabs(b));
}

static bool same_field(const struct field *f, const struct model_config *a, const struct model_config *b)
{
    const char *x = (const char *)a + f->offset, *y = (const char *)b + f->offset;
    return f->real ? near(*(const double *)(const void *)x, *(const double *)(const void *)y) : !memcmp(x, y, f->bytes);
}

/* The angles of both, with the divisors that the file holds in tensors. */
static bool same_angles(const struct rope_config *a, struct rope_config b, const struct rope_divisors *divisors,
                        bool interleaved)
{
    float x[MAX_HEAD_DIM / 2], y[MAX_HEAD_DIM / 2], factor_x, factor_y;
    bool both = a->scaling == ROPE_LONG;
    if (a->dims != b.dims || interleaved != b.interleaved || a->scaling == ROPE_DYNAMIC) return false;
    if (both) {
        memcpy(b.divisors, a->divisors, sizeof b.divisors);
        b.scaling = ROPE_LONG; /* which the tensors tell */
    }
    for (size_t beyond = 0; beyond <= both; beyond++) {
        size_t length = beyond ? SIZE_MAX : 0;
        rope_frequencies(a, length, NULL, x, &factor_x);
        rope_frequencies(&b, length, divisors ? divisors->values : NULL, y, &factor_y);
        for (size_t i = 0; i < a->dims / 2; i++)
            if (!near((double)x[i], (double)y[i])) return false;
        if (!near((double)factor_x, (double)factor_y)) return false;
    }
    return !both || near(a->original_context, b.original_context);
}

static const char *layers_differ(const struct model_config *a, const struct model_config *b)
{
    struct rope_divisors divisors[ROPE_DIVISORS];
    size_t given = config_rope_divisors(a, divisors);
    for (size_t i = 0; i < a->layers; i++) {
        struct layer_attention x = config_attention(a, i), y = config_attention(b, i);
        const struct rope_config *p = config_rope(a, i), *q = config_rope(b, i);
        if (x.window != y.window) return "windows of attention";
        if (!near((double)x.scale, (double)y.scale)) return "scale of attention";
        if (!near((double)x.softcap, (double)y.softcap)) return "soft cap of attention";
        if (!p != !q) return "layers that do not rotate";
        bool full = p == &a->rope[ROPE_FULL];
        if (p && !same_angles(p, *q, given == 1 && full ? divisors : NULL, p->interleaved || b->rows_permuted))
            return "scaling of the rotary embedding";
    }
    return NULL;
}

lorac_status config_gguf_check(const struct gguf_draft *d, const struct model_config *c, lorac_error *err)
{
    struct model_config said;
    const struct family *family;
    const char *differs = NULL;
    TRY(config_from_gguf(&d->gguf, &family, &said, err));
    for (size_t i = 0; i < sizeof fields / sizeof *fields && !differs; i++)
        if (!same_field(&fields[i], c, &said)) differs = fields[i].what;
    if (!differs) differs = layers_differ(c, &said);
    if (!differs) return LORAC_OK;
    return fail(err, LORAC_UNSUPPORTED, d->gguf.path, "a GGUF of this architecture cannot say this model's %s",
                differs);
}
