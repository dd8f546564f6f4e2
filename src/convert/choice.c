/* choice.c — how each module is quantised: the mode, mlx-lm's recipes, the user's overrides. See conversion.h. */
#include "convert/conversion.h"

#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- mlx-lm's -------------------------------------------------------------------------------------- */

/* Families in which mlx-lm keeps some modules at 8 bits: low-bit codes lose too much of them. */
static const struct {
    const char *family, *module; /* the end of its name */
} careful[] = {{"granite", "self_attn.o_proj"}, {"granite", "mlp.down_proj"}, {"granite", "lm_head"}};

static bool is_careful(const struct conversion *c, const char *module)
{
    for (size_t i = 0; i < sizeof careful / sizeof *careful; i++)
        if (!strcmp(careful[i].family, c->family->name) && ends_with(module, careful[i].module)) return true;
    return false;
}

static const struct recipe {
    const char *name;
    size_t low, high; /* bits */
} recipes[] = {{"mixed_2_6", 2, 6}, {"mixed_3_4", 3, 4}, {"mixed_3_6", 3, 6}, {"mixed_4_6", 4, 6}};

static const struct recipe *recipe_named(const char *name)
{
    for (size_t i = 0; i < sizeof recipes / sizeof *recipes; i++)
        if (!strcmp(recipes[i].name, name)) return &recipes[i];
    return NULL;
}

/* The first number in the name; 0 outside the layers. */
static size_t layer_of(const char *module)
{
    for (const char *dot = strchr(module, '.'); dot; dot = strchr(dot + 1, '.'))
        if (dot[1] >= '0' && dot[1] <= '9') return strtoul(dot + 1, NULL, 10);
    return 0;
}

/* The first and last eighth of the layers, and every third between. */
static bool is_worth_more(const struct conversion *c, const char *module)
{
    static const char *const names[] = {"v_proj", "v_a_proj", "v_b_proj", "down_proj"};
    size_t layers = c->shape.layers, eighth = layers / 8, layer = layer_of(module);
    bool named = false, often = layer < eighth || layer >= 7 * layers / 8 || (layer - eighth) % 3 == 2;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) named |= strstr(module, names[i]) != NULL;
    return (named && often) || strstr(module, "lm_head");
}

bool choice_by_module(const struct conversion *c)
{
    return c->options->recipe || c->allocation;
}

/* ---- overrides ------------------------------------------------------------------------------------- */

/* "PATTERN=MODE[:BITS[:GROUP]]" taken apart; *none: "PATTERN=none". */
static lorac_status parse_override(const char *text, char pattern[ITEM_NAME], struct quantization *q, bool *none,
                                   lorac_error *err)
{
    char mode[16], rest;
    size_t length = strcspn(text, "="), bits = 0, group = 0;
    int fields = text[length] ? sscanf(text + length + 1, "%15[^:]:%6zu:%6zu%c", mode, &bits, &group, &rest) : 0;
    if (!length || length >= ITEM_NAME || fields < 1 || fields > 3)
        return fail(err, LORAC_INVALID_ARGUMENT, NULL, "\"%.80s\" is no PATTERN=MODE[:BITS[:GROUP]]", text);
    snprintf(pattern, ITEM_NAME, "%.*s", (int)length, text);
    *none = !strcmp(mode, "none") && fields == 1;
    if (*none) return LORAC_OK;
    if (!strcmp(mode, "nf4"))
        return fail(err, LORAC_INVALID_ARGUMENT, NULL, "\"%.80s\": nf4 is for a whole folder", text);
    return quantization_of(mode, bits, group, q, err);
}

static bool fits(const char *pattern, const char *module)
{
    if (!fnmatch(pattern, module, 0)) return true;
    for (const char *dot = strchr(module, '.'); dot; dot = strchr(dot + 1, '.'))
        if (!fnmatch(pattern, dot + 1, 0)) return true;
    return false;
}

/* ---- the choice ------------------------------------------------------------------------------------ */

lorac_status check_choice(const lorac_convert_options *o, lorac_error *err)
{
    char pattern[ITEM_NAME];
    struct quantization q;
    bool none;
    bool affine = o->mode && !strcmp(o->mode, "affine"), mlx = o->mode && strcmp(o->mode, "nf4");
    if (o->recipe && !recipe_named(o->recipe))
        return fail(err, LORAC_INVALID_ARGUMENT, NULL,
                    "\"%.40s\" is none of mixed_2_6, mixed_3_4, mixed_3_6, mixed_4_6", o->recipe);
    if (o->recipe && !affine) return fail(err, LORAC_INVALID_ARGUMENT, NULL, "a recipe is for affine codes");
    if (o->target_bits > 0 && (!affine || !o->calibration || o->bits || o->recipe))
        return fail(err, LORAC_INVALID_ARGUMENT, NULL,
                    "a size to reach is for affine codes, whose bits are then chosen by a text");
    if (o->gptq && ((o->mode && !affine) || !o->calibration))
        return fail(err, LORAC_INVALID_ARGUMENT, NULL, "GPTQ is for affine codes, and needs a text");
    if (o->override_count && !mlx)
        return fail(err, LORAC_INVALID_ARGUMENT, NULL, "overrides are for modules of an MLX folder that is quantised");
    for (size_t i = 0; i < o->override_count; i++) TRY(parse_override(o->overrides[i], pattern, &q, &none, err));
    return LORAC_OK;
}

/* Whether the text before the first '=' is the pattern of some module. */
static bool is_used(const struct conversion *c, const char *text)
{
    char pattern[ITEM_NAME], module[ITEM_NAME];
    const struct item *items = c->items.items;
    snprintf(pattern, sizeof pattern, "%.*s", (int)strcspn(text, "="), text);
    for (size_t i = 0; i < c->items.count; i++) {
        snprintf(module, sizeof module, "%s", items[i].name);
        if (!items[i].quantized && ends_with(module, ".weight")) module[strlen(module) - strlen(".weight")] = 0;
        if (items[i].matrix && fits(pattern, module)) return true;
    }
    return false;
}

lorac_status check_modules(const struct conversion *c, lorac_error *err)
{
    const lorac_convert_options *o = c->options;
    if (o->recipe && !is_used(c, "*down_proj*"))
        return fail(err, LORAC_UNSUPPORTED, c->model, "has no down_proj; as in mlx-lm, recipes are for models that do");
    for (size_t i = 0; i < o->override_count; i++)
        if (!is_used(c, o->overrides[i]))
            return fail(err, LORAC_INVALID_ARGUMENT, NULL, "\"%.80s\" fits no module's name", o->overrides[i]);
    return LORAC_OK;
}

/* The last override that fits; false: none does. */
static bool find_override(const struct conversion *c, const char *module, struct quantization *q, bool *none)
{
    char pattern[ITEM_NAME];
    lorac_error unused;
    for (size_t i = c->options->override_count; i-- > 0;) {
        parse_override(c->options->overrides[i], pattern, q, none, &unused); /* checked before */
        if (fits(pattern, module)) return true;
    }
    return false;
}

enum choice choose(const struct conversion *c, const struct item *item, struct quantization *q)
{
    const lorac_convert_options *o = c->options;
    const struct recipe *recipe = o->recipe ? recipe_named(o->recipe) : NULL;
    lorac_error unused;
    bool none = !o->mode;
    if (none) return CHOICE_LEAVE;
    if (find_override(c, item->name, q, &none))
        return none ? CHOICE_LEAVE : item->cols % q->group ? CHOICE_UNDIVIDED : CHOICE_QUANTIZE;
    *q = c->q;
    if (c->bnb) return item->rows * item->cols % 2 ? CHOICE_UNDIVIDED : CHOICE_QUANTIZE;
    if (allocated_bits(c, item->stored))
        quantization_of("affine", allocated_bits(c, item->stored), q->group, q, &unused);
    else if (recipe)
        quantization_of("affine", is_worth_more(c, item->name) ? recipe->high : recipe->low, q->group, q, &unused);
    else if (is_careful(c, item->name))
        *q = (struct quantization){.type = QUANT_AFFINE8, .group = 64};
    return item->cols % c->q.group || item->cols % q->group ? CHOICE_UNDIVIDED : CHOICE_QUANTIZE;
}
