/* config_rope.c — the rotary embedding's part of a config.json: rope_theta and rope_scaling, or rope_parameters, one
 * for all layers or one for each kind of layer. */
#include "model/config_json.h"

#include <math.h>
#include <string.h>

static lorac_status check_keys(const json_t *o, const char *file, lorac_error *err)
{
    static const char *const known[] = {"rope_type",
                                        "type",
                                        "rope_theta",
                                        "factor",
                                        "low_freq_factor",
                                        "high_freq_factor",
                                        "original_max_position_embeddings",
                                        "beta_fast",
                                        "beta_slow",
                                        "attention_factor",
                                        "mscale",
                                        "mscale_all_dim",
                                        "truncate",
                                        "partial_rotary_factor",
                                        "short_factor",
                                        "long_factor"};
    for (void *i = json_object_iter((json_t *)(uintptr_t)o); i; i = json_object_iter_next((json_t *)(uintptr_t)o, i)) {
        bool found = config_says_nothing(json_object_iter_value(i));
        for (size_t k = 0; k < sizeof known / sizeof *known && !found; k++)
            found = !strcmp(known[k], json_object_iter_key(i));
        if (!found)
            return fail(err, LORAC_UNSUPPORTED, file, "rope scaling: \"%s\" is not known to lorac",
                        json_object_iter_key(i));
    }
    return LORAC_OK;
}

static lorac_status scaling_type(const json_t *o, enum rope_scaling *type, const char *file, lorac_error *err)
{
    static const struct {
        const char *name;
        enum rope_scaling type;
    } types[] = {{"default", ROPE_NONE}, {"linear", ROPE_LINEAR}, {"dynamic", ROPE_DYNAMIC}, {"llama3", ROPE_LLAMA3},
                 {"yarn", ROPE_YARN},    {"longrope", ROPE_LONG}, {"su", ROPE_LONG}};
    const char *name;
    TRY(json_get_text(o, "type", "default", &name, file, err));
    TRY(json_get_text(o, "rope_type", name, &name, file, err));
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (!strcmp(types[i].name, name)) {
            *type = types[i].type;
            return LORAC_OK;
        }
    return fail(err, LORAC_UNSUPPORTED, file,
                "rope scaling \"%s\" is not known to lorac (known: default, linear, dynamic, llama3, yarn, longrope)",
                name);
}

/* YaRN's attention factor (Peng et al. 2023, arXiv 2309.00071): 0.1 ln s + 1, or a quotient of two of these. */
static double yarn_mscale(double factor, double scale)
{
    return factor <= 1 ? 1 : 0.1 * scale * log(factor) + 1;
}

static lorac_status read_yarn(const json_t *o, struct rope_config *r, const char *file, lorac_error *err)
{
    double mscale, mscale_all;
    TRY(json_get_float(o, "beta_fast", 32, &r->beta_fast, file, err));
    TRY(json_get_float(o, "beta_slow", 1, &r->beta_slow, file, err));
    TRY(json_get_bool(o, "truncate", true, &r->truncate, file, err));
    TRY(json_get_float(o, "mscale", 0, &mscale, file, err));
    TRY(json_get_float(o, "mscale_all_dim", 0, &mscale_all, file, err));
    double usual = mscale != 0 && mscale_all != 0 ? yarn_mscale(r->factor, mscale) / yarn_mscale(r->factor, mscale_all)
                                                  : yarn_mscale(r->factor, 1);
    return json_get_float(o, "attention_factor", usual, &r->attention_factor, file, err);
}

/* LongRoPE (Ding et al. 2024, arXiv 2402.13753): a divisor for each pair, and sqrt(1 + ln s / ln original). */
static lorac_status read_divisors(const json_t *o, const char *key, float *divisors, size_t pairs, const char *file,
                                  lorac_error *err)
{
    const json_t *list = json_object_get(o, key);
    if (!json_is_array(list) || json_array_size(list) != pairs)
        return fail(err, LORAC_FORMAT, file, "rope scaling: \"%s\" needs %zu numbers", key, pairs);
    for (size_t i = 0; i < pairs; i++) {
        divisors[i] = (float)json_number_value(json_array_get(list, i));
        if (!(divisors[i] > 0) || !isfinite(divisors[i]))
            return fail(err, LORAC_FORMAT, file, "rope scaling: \"%s\" holds a number that cannot divide", key);
    }
    return LORAC_OK;
}

double rope_long_factor(double factor, double original)
{
    return factor <= 1 || original <= 1 ? 1 : sqrt(1 + log(factor) / log(original));
}

static lorac_status read_long(const json_t *o, const struct model_config *c, struct rope_config *r, const char *file,
                              lorac_error *err)
{
    double factor;
    if (r->dims / 2 > MAX_HEAD_DIM / 2) return fail(err, LORAC_FORMAT, file, "%zu rotated dimensions", r->dims);
    TRY(json_get_float(o, "factor", (double)c->context / r->original_context, &factor, file, err));
    TRY(read_divisors(o, "short_factor", r->divisors[0], r->dims / 2, file, err));
    TRY(read_divisors(o, "long_factor", r->divisors[1], r->dims / 2, file, err));
    return json_get_float(o, "attention_factor", rope_long_factor(factor, r->original_context), &r->attention_factor,
                          file, err);
}

static lorac_status read_scaling(const json_t *o, const struct model_config *c, struct rope_config *r, const char *file,
                                 lorac_error *err)
{
    TRY(check_keys(o, file, err));
    TRY(scaling_type(o, &r->scaling, file, err));
    TRY(json_get_float(o, "rope_theta", r->theta, &r->theta, file, err));
    TRY(json_get_float(o, "factor", 1, &r->factor, file, err));
    TRY(json_get_float(o, "original_max_position_embeddings", r->original_context, &r->original_context, file, err));
    TRY(json_get_float(o, "low_freq_factor", 1, &r->low_freq, file, err));
    TRY(json_get_float(o, "high_freq_factor", 4, &r->high_freq, file, err));
    TRY(json_get_float(o, "partial_rotary_factor", r->part, &r->part, file, err));
    r->dims = (size_t)((double)c->head_dim * r->part);
    if (r->scaling == ROPE_LONG) return read_long(o, c, r, file, err);
    return r->scaling == ROPE_YARN ? read_yarn(o, r, file, err) : LORAC_OK;
}

/* One object, or one for each kind of layer. */
static lorac_status read_parameters(const json_t *o, struct model_config *c, const char *file, lorac_error *err)
{
    const json_t *full = json_object_get(o, "full_attention"), *local = json_object_get(o, "sliding_attention");
    if (!json_is_object(full) && !json_is_object(local)) return read_scaling(o, c, &c->rope[ROPE_FULL], file, err);
    if (json_is_object(full)) TRY(read_scaling(full, c, &c->rope[ROPE_FULL], file, err));
    c->local_rope = json_is_object(local);
    return c->local_rope ? read_scaling(local, c, &c->rope[ROPE_LOCAL], file, err) : LORAC_OK;
}

lorac_status config_read_rope(const json_t *config, const char *file, struct model_config *c, lorac_error *err)
{
    const json_t *scaling = json_object_get(config, "rope_scaling"),
                 *parameters = json_object_get(config, "rope_parameters");
    double original;
    TRY(json_get_float(config, "original_max_position_embeddings", (double)c->context, &original, file, err));
    for (int i = 0; i < ROPES; i++) {
        struct rope_config *r = &c->rope[i];
        r->original_context = original;
        r->dims = (size_t)((double)c->head_dim * r->part);
    }
    struct rope_config *full = &c->rope[ROPE_FULL];
    TRY(json_get_float(config, "rope_theta", full->theta, &full->theta, file, err));
    if (json_is_object(parameters)) TRY(read_parameters(parameters, c, file, err));
    if (json_is_object(scaling)) TRY(read_parameters(scaling, c, file, err));
    if (full->scaling == ROPE_DYNAMIC && full->factor > 1 && full->factor < 1024)
        c->context = (size_t)((double)c->context * full->factor); /* it is meant to go beyond */
    return LORAC_OK;
}
