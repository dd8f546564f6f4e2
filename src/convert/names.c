/* names.c — what mlx-lm calls the tensors of a Hugging Face folder, where it does not keep their names. */
#include "convert/conversion.h"

#include <stdio.h>
#include <string.h>

/* Buffers that older programs saved among the weights. */
static const char *const buffers[] = {".rotary_emb.inv_freq",   ".attention.rope.inv_freq", ".attn.bias",
                                      ".attention.bias",        ".attn.masked_bias",        ".attention.masked_bias",
                                      ".rotary_emb.cos_cached", ".rotary_emb.sin_cached"};

/* The first start that fits gives way; the empty one fits always. */
struct start {
    const char *family, *from, *to; /* family NULL: any */
};
static const struct start starts[] = {
    {"gpt2", "model.", "model."},     {"gpt2", "transformer.", "model."},           {"gpt2", "", "model."},
    {"gpt_neox", "model.", "model."}, {"gpt_neox", "gpt_neox.layers.", "model.h."}, {"gpt_neox", "gpt_neox.", "model."},
    {"gpt_neox", "", "model."},
};
/* Of a model that also sees; what fits none is no part of the language model. */
static const struct start seeing[] = {
    {NULL, "language_model.", "language_model."},
    {NULL, "model.language_model.", "language_model.model."},
    {NULL, "lm_head.", "language_model.lm_head."},
};

static bool begin_otherwise(const struct start *list, size_t count, const char *family, const char *name,
                            char out[ITEM_NAME])
{
    for (size_t i = 0; i < count; i++) {
        size_t length = strlen(list[i].from);
        if ((list[i].family && strcmp(list[i].family, family)) || strncmp(name, list[i].from, length)) continue;
        return snprintf(out, ITEM_NAME, "%s%s", list[i].to, name + length) < ITEM_NAME;
    }
    return false;
}

static bool is_head(const char *name)
{
    return !strcmp(name, "lm_head.weight") || !strcmp(name, "language_model.lm_head.weight") ||
           !strcmp(name, "model.lm_head.weight");
}

/* Granite 4's dense MLP has Llama's names in mlx-lm. */
static void end_otherwise(const struct conversion *c, char name[ITEM_NAME])
{
    static const char from[] = ".shared_mlp.output_linear.weight", to[] = ".mlp.down_proj.weight";
    if (!strcmp(c->family->name, "granitemoehybrid") && ends_with(name, from))
        memcpy(name + strlen(name) - (sizeof from - 1), to, sizeof to);
}

bool mlx_name(const struct conversion *c, const char *name, char out[ITEM_NAME])
{
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++)
        if (ends_with(name, buffers[i])) return false;
    bool named = c->sees ? begin_otherwise(seeing, sizeof seeing / sizeof *seeing, c->family->name, name, out)
                         : begin_otherwise(starts, sizeof starts / sizeof *starts, c->family->name, name, out);
    if (c->sees && !named) return false;
    if (!named && snprintf(out, ITEM_NAME, "%s", name) >= ITEM_NAME) return false;
    end_otherwise(c, out);
    return !c->shape.tied_head || !is_head(out);
}

bool mlx_halves(const struct conversion *c, const char *name, char out[2][ITEM_NAME])
{
    static const char whole[] = ".shared_mlp.input_linear.weight", *const halves[] = {"gate", "up"};
    if (strcmp(c->family->name, "granitemoehybrid") || !ends_with(name, whole)) return false;
    int before = (int)(strlen(name) - (sizeof whole - 1));
    for (int i = 0; i < 2; i++) snprintf(out[i], ITEM_NAME, "%.*s.mlp.%s_proj.weight", before, name, halves[i]);
    return true;
}
