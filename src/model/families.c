/* families.c — the list of families. Adding one: its file and one line here. */
#include "model/family.h"

#include <stdio.h>
#include <string.h>

extern const struct family family_llama, family_mistral, family_qwen2, family_qwen3, family_gemma, family_gemma2,
    family_gemma3, family_phi, family_phi3, family_olmo, family_olmo2, family_olmo3, family_granite,
    family_granite_hybrid, family_cohere, family_cohere2, family_starcoder2, family_stablelm, family_glm, family_glm4,
    family_gpt2, family_gpt_neox, family_internlm2, family_internlm3, family_minicpm, family_smollm3;
const struct family *const families[] = {
    &family_llama,
    &family_mistral,
    &family_qwen2,
    &family_qwen3,
    &family_gemma,
    &family_gemma2,
    &family_gemma3,
    &family_phi,
    &family_phi3,
    &family_olmo,
    &family_olmo2,
    &family_olmo3,
    &family_granite,
    &family_granite_hybrid,
    &family_cohere,
    &family_cohere2,
    &family_starcoder2,
    &family_stablelm,
    &family_glm,
    &family_glm4,
    &family_gpt2,
    &family_gpt_neox,
    &family_internlm2,
    &family_internlm3,
    &family_minicpm,
    &family_smollm3,
    NULL,
};

const struct weight_name usual_names[PARTS] = {
    [PART_EMBEDDING] = {"model.embed_tokens", "token_embd"},
    [PART_FINAL_NORM] = {"model.norm", "output_norm"},
    [PART_HEAD] = {"lm_head", "output"},
    [PART_ATTENTION_NORM] = {"model.layers.%zu.input_layernorm", "blk.%zu.attn_norm"},
    [PART_MLP_NORM] = {"model.layers.%zu.post_attention_layernorm", "blk.%zu.ffn_norm"},
    [PART_ATTENTION_AFTER] = {"model.layers.%zu.post_attention_layernorm", "blk.%zu.post_attention_norm"},
    [PART_MLP_AFTER] = {"model.layers.%zu.post_feedforward_layernorm", "blk.%zu.post_ffw_norm"},
    [PART_Q_NORM] = {"model.layers.%zu.self_attn.q_norm", "blk.%zu.attn_q_norm"},
    [PART_K_NORM] = {"model.layers.%zu.self_attn.k_norm", "blk.%zu.attn_k_norm"},
    [PART_QKV] = {"model.layers.%zu.self_attn.qkv_proj", "blk.%zu.attn_qkv"},
    [PART_Q] = {"model.layers.%zu.self_attn.q_proj", "blk.%zu.attn_q"},
    [PART_K] = {"model.layers.%zu.self_attn.k_proj", "blk.%zu.attn_k"},
    [PART_V] = {"model.layers.%zu.self_attn.v_proj", "blk.%zu.attn_v"},
    [PART_O] = {"model.layers.%zu.self_attn.o_proj", "blk.%zu.attn_output"},
    [PART_GATE_UP] = {"model.layers.%zu.mlp.gate_up_proj", "blk.%zu.ffn_up"},
    [PART_GATE] = {"model.layers.%zu.mlp.gate_proj", "blk.%zu.ffn_gate"},
    [PART_UP] = {"model.layers.%zu.mlp.up_proj", "blk.%zu.ffn_up"},
    [PART_DOWN] = {"model.layers.%zu.mlp.down_proj", "blk.%zu.ffn_down"},
};

struct weight_name family_name(const struct family *f, enum part part)
{
    struct weight_name name = f->names ? f->names[part] : (struct weight_name){0};
    if (!name.hf) name.hf = usual_names[part].hf;
    if (!name.gguf) name.gguf = usual_names[part].gguf;
    return name;
}

static bool listed(const char *const *names, const char *name)
{
    for (; *names; names++)
        if (!strcmp(*names, name)) return true;
    return false;
}

const struct family *family_of_model_type(const char *name)
{
    for (size_t i = 0; families[i]; i++)
        if (listed(families[i]->model_types, name)) return families[i];
    return NULL;
}

const struct family *family_of_architecture(const char *name)
{
    for (size_t i = 0; families[i]; i++)
        if (listed(families[i]->architectures, name)) return families[i];
    return NULL;
}

static size_t common_start(const char *a, const char *b)
{
    size_t n = 0;
    while (a[n] && a[n] == b[n]) n++;
    return n;
}

lorac_status family_unknown(const char *file, const char *key, const char *name, bool gguf, lorac_error *err)
{
    char near[256] = "";
    size_t length = 0;
    for (int pass = 0; pass < 2 && !length; pass++) /* those that begin alike, or all */
        for (size_t i = 0; families[i]; i++)
            for (const char *const *n = gguf ? families[i]->architectures : families[i]->model_types; *n; n++) {
                int more = snprintf(near + length, sizeof near - length, "%s%s", length ? ", " : "", *n);
                bool fits = more > 0 && (size_t)more < sizeof near - length;
                if (fits && (pass || common_start(*n, name) >= 3))
                    length += (size_t)more;
                else
                    near[length] = 0;
            }
    return fail(err, LORAC_UNSUPPORTED, file, "%s \"%s\" is not known to lorac (known and near: %s)", key, name, near);
}

void config_defaults(const struct family *f, struct model_config *c)
{
    *c = (struct model_config){.context = 2048,
                               .norm_eps = 1e-6,
                               .norms = NORM_BEFORE,
                               .gated = true,
                               .embedding_scale = 1,
                               .residual_scale = 1,
                               .logit_scale = 1};
    for (int i = 0; i < ROPES; i++)
        c->rope[i] = (struct rope_config){.theta = 10000, .part = 1, .factor = 1, .attention_factor = 1};
    if (f->fixed) f->fixed(c);
}
