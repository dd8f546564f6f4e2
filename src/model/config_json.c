/* config_json.c — a Hugging Face config.json to a family and a model_config. The rotary embedding: config_rope.c.
 *
 * Every key is either read, or known to change no number, or an error that names it. */
#include "model/config_json.h"

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
    "n_ctx",
    "cross_attention_hidden_size",
    "add_cross_attention",
    "attn_pdrop",
    "embd_pdrop",
    "resid_pdrop",
    "hidden_dropout",
    "residual_dropout",
    "embedding_dropout",
    "classifier_dropout",
    "summary_type",
    "summary_use_proj",
    "summary_activation",
    "summary_proj_to_labels",
    "summary_first_dropout",
    "gradient_checkpointing",
    "head_dim_original",
    "model_max_length",
    "vocab_size_original",
    "force_bos_token_to_be_output",
    "eoi_token_index",
    "boi_token_index",
    "image_token_id",
    "image_token_index",
    "vision_config",
    "mm_tokens_per_image",
    "vision_feature_layer",
    "vision_feature_select_strategy",
    "multimodal_projector_bias",
    "projector_hidden_act",
    "spatial_merge_size",
    "is_composition",
    "_attn_implementation",
    "is_decoder",
    "sep_token_id",
    "decoder_start_token_id",
};
/* Keys of a model that also sees, beside its language model's config. */
static const char *const outside[] = {
    "text_config",  "tie_word_embeddings", "quantization",     "quantization_config",
    "ignore_index", "processor_class",     "image_seq_length",
};
/* Keys that lorac reads in every family. */
static const struct config_key common[] = {
    KEY("num_hidden_layers", SIZE, layers),
    KEY("hidden_size", SIZE, hidden),
    KEY("intermediate_size", SIZE, intermediate),
    KEY("num_attention_heads", SIZE, heads),
    KEY("num_key_value_heads", SIZE, kv_heads),
    KEY("head_dim", SIZE, head_dim),
    KEY("vocab_size", SIZE, vocab),
    KEY("max_position_embeddings", SIZE, context),
    KEY("tie_word_embeddings", BOOL, tied_head),
    KEY("hidden_act", ACTIVATION, activation),
    {"model_type", KEY_KNOWN, 0},
    {"rope_theta", KEY_KNOWN, 0},
    {"rope_scaling", KEY_KNOWN, 0},
    {"rope_parameters", KEY_KNOWN, 0},
    {"pretraining_tp", KEY_KNOWN, 0},
    {"quantization", KEY_KNOWN, 0}, /* weights_quantized.c */
    {"quantization_config", KEY_KNOWN, 0},
    {NULL, KEY_KNOWN, 0},
};

json_t *config_quantization(const json_t *config)
{
    static const char *const names[] = {"quantization", "quantization_config"};
    for (const json_t *at = config; at; at = at == config ? json_object_get(config, "text_config") : NULL)
        for (size_t i = 0; i < 2; i++) {
            json_t *o = json_object_get(at, names[i]);
            if (json_is_object(o)) return o;
        }
    return NULL;
}

static bool listed(const char *key, const char *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!strcmp(key, list[i])) return true;
    return false;
}

static bool has_key(const struct config_key *keys, const char *name)
{
    for (; keys && keys->name; keys++)
        if (!strcmp(keys->name, name)) return true;
    return false;
}

bool config_says_nothing(const json_t *v)
{
    return !v || json_is_null(v) || json_is_false(v) ||
           ((json_is_object(v) || json_is_array(v)) && !json_object_size(v) && !json_array_size(v));
}

static bool is_harmless(const char *key, const json_t *value)
{
    return config_says_nothing(value) || listed(key, harmless, sizeof harmless / sizeof *harmless);
}

static lorac_status refuse_key(const char *file, const char *key, const char *model, lorac_error *err)
{
    return fail(err, LORAC_UNSUPPORTED, file,
                "\"%s\" is not known to lorac for %s and might change what the model computes", key, model);
}

static lorac_status check_keys(const json_t *config, const char *file, const struct family *family, lorac_error *err)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)config, key, value)
    {
        if (is_harmless(key, value) || has_key(common, key) || has_key(family->keys, key)) continue;
        return refuse_key(file, key, family->name, err);
    }
    return LORAC_OK;
}

/* Beside a language model's config: what concerns other senses, and copies of what stands in it. */
static lorac_status check_outside(const json_t *config, const json_t *text, const char *file, lorac_error *err)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)config, key, value)
    {
        if (is_harmless(key, value) || listed(key, outside, sizeof outside / sizeof *outside)) continue;
        if (json_equal(value, json_object_get(text, key))) continue;
        return refuse_key(file, key, "a model that also sees", err);
    }
    return LORAC_OK;
}

/* ---- values --------------------------------------------------------------------------------- */

static lorac_status read_activation(const json_t *config, const char *key, enum activation *value, const char *file,
                                    lorac_error *err)
{
    static const struct {
        const char *name;
        enum activation value;
    } known[] = {{"silu", ACTIVATION_SILU},           {"swish", ACTIVATION_SILU},
                 {"gelu", ACTIVATION_GELU},           {"gelu_new", ACTIVATION_GELU_TANH},
                 {"gelu_fast", ACTIVATION_GELU_TANH}, {"gelu_pytorch_tanh", ACTIVATION_GELU_TANH}};
    const char *name;
    TRY(json_get_text(config, key, NULL, &name, file, err));
    for (size_t i = 0; name && i < sizeof known / sizeof *known; i++)
        if (!strcmp(known[i].name, name)) {
            *value = known[i].value;
            return LORAC_OK;
        }
    if (!name) return LORAC_OK;
    return fail(err, LORAC_UNSUPPORTED, file, "%s \"%s\" is not known to lorac (known: silu, gelu, gelu_pytorch_tanh)",
                key, name);
}

static lorac_status read_keys(const json_t *config, const char *file, const struct config_key *keys,
                              struct model_config *c, lorac_error *err)
{
    for (; keys && keys->name; keys++) {
        void *member = (char *)c + keys->offset;
        size_t *size = member;
        double *number = member;
        bool *flag = member;
        switch (keys->kind) {
        case KEY_SIZE:
            TRY(json_get_size(config, keys->name, *size, size, file, err));
            break;
        case KEY_FLOAT:
            TRY(json_get_float(config, keys->name, *number, number, file, err));
            break;
        case KEY_BOOL:
            TRY(json_get_bool(config, keys->name, *flag, flag, file, err));
            break;
        case KEY_ACTIVATION:
            TRY(read_activation(config, keys->name, member, file, err));
            break;
        case KEY_KNOWN:
            break;
        }
    }
    return LORAC_OK;
}

static lorac_status check_shape(const struct model_config *c, const char *file, lorac_error *err)
{
    const struct {
        const char *key;
        size_t value;
    } needed[] = {{"num_hidden_layers", c->layers},
                  {"hidden_size", c->hidden},
                  {"num_attention_heads", c->heads},
                  {"vocab_size", c->vocab}};
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++)
        if (!needed[i].value) return fail(err, LORAC_FORMAT, file, "\"%s\" is missing or zero", needed[i].key);
    return LORAC_OK;
}

/* ---- the whole ------------------------------------------------------------------------------ */

static lorac_status find_family(const json_t *config, const char *file, const struct family **family, lorac_error *err)
{
    const char *type;
    TRY(json_get_text(config, "model_type", "", &type, file, err));
    *family = family_of_model_type(type);
    return *family ? LORAC_OK : family_unknown(file, "model_type", type, false, err);
}

static lorac_status read_config(const json_t *config, const char *file, const struct family *family,
                                struct model_config *c, lorac_error *err)
{
    TRY(check_keys(config, file, family, err));
    config_defaults(family, c);
    TRY(read_keys(config, file, common, c, err));
    TRY(read_keys(config, file, family->keys, c, err));
    TRY(check_shape(c, file, err));
    if (!c->kv_heads) c->kv_heads = c->heads;
    if (!c->head_dim) c->head_dim = c->hidden / c->heads;
    if (!c->intermediate) c->intermediate = 4 * c->hidden;
    TRY(config_read_rope(config, file, c, err));
    return family->from_json ? family->from_json(config, file, c, err) : LORAC_OK;
}

lorac_status config_from_json(const json_t *config, const char *file, const struct family **family,
                              struct model_config *c, lorac_error *err)
{
    *c = (struct model_config){0};
    if (!json_is_object(config)) return fail(err, LORAC_FORMAT, file, "is not a JSON object");
    /* A model that also sees keeps its language model's config apart. */
    const json_t *text = json_object_get(config, "text_config");
    if (json_is_object(text)) {
        TRY(check_outside(config, text, file, err));
        config = text;
    }
    TRY(find_family(config, file, family, err));
    return read_config(config, file, *family, c, err);
}
