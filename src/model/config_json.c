/* config_json.c — a Hugging Face config.json of the Llama architecture to a model_config.
 *
 * Every key is either read, or known to change no number, or an error that names it. */
#include "model/config.h"

#include <math.h>
#include <string.h>

/* Keys that change nothing lorac computes. */
static const char *const harmless[] = {
    "architectures",
    "model_type",
    "torch_dtype",
    "dtype",
    "transformers_version",
    "use_cache",
    "bos_token_id",
    "eos_token_id",
    "pad_token_id",
    "unk_token_id",
    "initializer_range",
    "_name_or_path",
    "_model_name_or_path",
    "attention_dropout",
    "tie_encoder_decoder",
    "is_encoder_decoder",
    "return_dict",
    "output_attentions",
    "output_hidden_states",
    "_attn_implementation_autoset",
    "transformers.js_config",
    "is_llama_config",
    "max_window_layers",
    "id2label",
    "label2id",
    "problem_type",
    "task_specific_params",
    "finetuning_task",
    "license",
    "auto_map",
    "name_or_path",
    "_commit_hash",
    "chunk_size_feed_forward",
    "architecture",
    "unsloth_version",
    "unsloth_fixed",
    "seq_length",
    "cross_attention_hidden_size",
    "add_cross_attention",
    "is_decoder",
    "sep_token_id",
    "decoder_start_token_id",
};
/* Keys that lorac reads. */
static const char *const known[] = {
    "num_hidden_layers", "hidden_size",     "intermediate_size",       "num_attention_heads", "num_key_value_heads",
    "head_dim",          "vocab_size",      "max_position_embeddings", "rms_norm_eps",        "rope_theta",
    "rope_scaling",      "rope_parameters", "tie_word_embeddings",     "attention_bias",      "mlp_bias",
    "hidden_act",        "pretraining_tp",  "rope_interleaved",
};

static bool listed(const char *key, const char *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!strcmp(key, list[i])) return true;
    return false;
}

static bool says_nothing(const json_t *v)
{
    return !v || json_is_null(v) || json_is_false(v) ||
           ((json_is_object(v) || json_is_array(v)) && !json_object_size(v) && !json_array_size(v));
}

static lorac_status check_keys(const json_t *config, const char *file, lorac_error *err)
{
    const char *key;
    json_t *value;
    json_object_foreach(
        (json_t *)(uintptr_t)config, key,
        value) if (!says_nothing(value) && !listed(key, known, sizeof known / sizeof *known) &&
                   !listed(key, harmless,
                           sizeof harmless / sizeof *harmless)) return fail(err, LORAC_UNSUPPORTED, file,
                                                                            "\"%s\" is not known to lorac and might "
                                                                            "change what the model computes",
                                                                            key);
    return LORAC_OK;
}

static lorac_status need_size(const json_t *o, const char *key, size_t *value, const char *file, lorac_error *err)
{
    TRY(json_get_size(o, key, 0, value, file, err));
    if (*value) return LORAC_OK;
    return fail(err, LORAC_FORMAT, file, "\"%s\" is missing or zero", key);
}

/* ---- rope ----------------------------------------------------------------------------------- */

static lorac_status check_rope_keys(const json_t *o, const char *file, lorac_error *err)
{
    static const char *const rope_known[] = {"rope_type",
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
                                             "partial_rotary_factor"};
    const char *key;
    json_t *value;
    json_object_foreach(
        (json_t *)(uintptr_t)o, key,
        value) if (!says_nothing(value) &&
                   !listed(key, rope_known,
                           sizeof rope_known /
                               sizeof *rope_known)) return fail(err, LORAC_UNSUPPORTED, file,
                                                                "rope scaling: \"%s\" is not known to lorac", key);
    return LORAC_OK;
}

static lorac_status scaling_type(const json_t *o, enum rope_scaling *type, const char *file, lorac_error *err)
{
    static const struct {
        const char *name;
        enum rope_scaling type;
    } types[] = {{"default", ROPE_NONE}, {"linear", ROPE_LINEAR}, {"llama3", ROPE_LLAMA3}, {"yarn", ROPE_YARN}};
    const char *name;
    TRY(json_get_text(o, "type", "default", &name, file, err));
    TRY(json_get_text(o, "rope_type", name, &name, file, err));
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (!strcmp(types[i].name, name)) {
            *type = types[i].type;
            return LORAC_OK;
        }
    return fail(err, LORAC_UNSUPPORTED, file,
                "rope scaling \"%s\" is not known to lorac (known: default, linear, llama3, yarn)", name);
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

static lorac_status read_scaling(const json_t *o, struct model_config *c, const char *file, lorac_error *err)
{
    struct rope_config *r = &c->rope;
    double partial;
    TRY(check_rope_keys(o, file, err));
    TRY(scaling_type(o, &r->scaling, file, err));
    TRY(json_get_float(o, "rope_theta", r->theta, &r->theta, file, err));
    TRY(json_get_float(o, "factor", 1, &r->factor, file, err));
    TRY(json_get_float(o, "original_max_position_embeddings", (double)c->context, &r->original_context, file, err));
    TRY(json_get_float(o, "low_freq_factor", 1, &r->low_freq, file, err));
    TRY(json_get_float(o, "high_freq_factor", 4, &r->high_freq, file, err));
    TRY(json_get_float(o, "partial_rotary_factor", 1, &partial, file, err));
    if (partial != 1)
        return fail(err, LORAC_UNSUPPORTED, file, "\"partial_rotary_factor\" %g is not known for Llama", partial);
    return r->scaling == ROPE_YARN ? read_yarn(o, r, file, err) : LORAC_OK;
}

static lorac_status read_rope(const json_t *config, struct model_config *c, const char *file, lorac_error *err)
{
    const json_t *scaling = json_object_get(config, "rope_scaling"),
                 *parameters = json_object_get(config, "rope_parameters");
    bool interleaved;
    TRY(json_get_float(config, "rope_theta", 10000, &c->rope.theta, file, err));
    TRY(json_get_bool(config, "rope_interleaved", false, &interleaved, file, err));
    if (interleaved) return fail(err, LORAC_UNSUPPORTED, file, "\"rope_interleaved\" true is not known for Llama");
    c->rope.attention_factor = c->rope.factor = 1;
    c->rope.original_context = (double)c->context;
    c->rope.dims = c->head_dim;
    if (json_is_object(parameters)) TRY(read_scaling(parameters, c, file, err));
    if (json_is_object(scaling)) TRY(read_scaling(scaling, c, file, err));
    return LORAC_OK;
}

/* ---- the whole ------------------------------------------------------------------------------ */

static lorac_status check_fixed(const json_t *config, const char *file, lorac_error *err)
{
    const char *type, *act;
    size_t tp;
    TRY(json_get_text(config, "model_type", "", &type, file, err));
    if (strcmp(type, "llama"))
        return fail(err, LORAC_UNSUPPORTED, file, "model_type \"%s\" is not known to lorac (known: llama)", type);
    TRY(json_get_text(config, "hidden_act", "silu", &act, file, err));
    if (strcmp(act, "silu"))
        return fail(err, LORAC_UNSUPPORTED, file, "hidden_act \"%s\" is not known for Llama (known: silu)", act);
    TRY(json_get_size(config, "pretraining_tp", 1, &tp, file, err));
    return LORAC_OK;
}

lorac_status config_from_json(const json_t *config, const char *file, struct model_config *c, lorac_error *err)
{
    *c = (struct model_config){0};
    if (!json_is_object(config)) return fail(err, LORAC_FORMAT, file, "is not a JSON object");
    if (!says_nothing(json_object_get(config, "quantization")) ||
        !says_nothing(json_object_get(config, "quantization_config")))
        return fail(err, LORAC_UNSUPPORTED, file,
                    "the folder holds a quantised model; lorac reads F32, F16 and BF16 folders, or a GGUF file");
    TRY(check_fixed(config, file, err));
    TRY(check_keys(config, file, err));
    TRY(need_size(config, "num_hidden_layers", &c->layers, file, err));
    TRY(need_size(config, "hidden_size", &c->hidden, file, err));
    TRY(need_size(config, "intermediate_size", &c->intermediate, file, err));
    TRY(need_size(config, "num_attention_heads", &c->heads, file, err));
    TRY(need_size(config, "vocab_size", &c->vocab, file, err));
    TRY(json_get_size(config, "num_key_value_heads", c->heads, &c->kv_heads, file, err));
    TRY(json_get_size(config, "head_dim", c->hidden / c->heads, &c->head_dim, file, err));
    TRY(json_get_size(config, "max_position_embeddings", 2048, &c->context, file, err));
    TRY(json_get_float(config, "rms_norm_eps", 1e-6, &c->norm_eps, file, err));
    TRY(json_get_bool(config, "tie_word_embeddings", false, &c->tied_head, file, err));
    TRY(json_get_bool(config, "attention_bias", false, &c->attention_bias, file, err));
    TRY(json_get_bool(config, "mlp_bias", false, &c->mlp_bias, file, err));
    return read_rope(config, c, file, err);
}
