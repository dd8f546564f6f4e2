/* read_config.c — what adapter_config.json says of an adapter's numbers: the scale of each module. Refuses DoRA,
 * biases, trained full tensors, and whatever else would change numbers. See read.h. */
#include "adapter/read.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* Settings that change numbers in ways that are not computed here. */
static lorac_status refuse_settings(const json_t *c, const char *path, lorac_error *err)
{
    static const char *const off[] = {"use_dora",
                                      "lora_bias",
                                      "use_qalora",
                                      "use_bdlora",
                                      "arrow_config",
                                      "trainable_token_indices",
                                      "modules_to_save",
                                      "target_parameters",
                                      "layer_replication",
                                      "megatron_config",
                                      "eva_config",
                                      "corda_config",
                                      "alora_invocation_tokens"};
    for (size_t i = 0; i < sizeof off / sizeof *off; i++) {
        const json_t *v = json_object_get(c, off[i]);
        bool empty = (json_is_array(v) && !json_array_size(v)) || (json_is_object(v) && !json_object_size(v));
        if (v && !json_is_null(v) && !json_is_false(v) && !empty)
            return fail(err, LORAC_UNSUPPORTED, path, "\"%s\" is set; lorac reads plain LoRA adapters without it",
                        off[i]);
    }
    const char *bias, *type;
    TRY(json_get_text(c, "bias", "none", &bias, path, err));
    if (strcmp(bias, "none"))
        return fail(err, LORAC_UNSUPPORTED, path, "\"bias\": \"%s\"; lorac reads adapters without trained biases",
                    bias);
    TRY(json_get_text(c, "peft_type", "LORA", &type, path, err));
    return !strcmp(type, "LORA") ? LORAC_OK
                                 : fail(err, LORAC_UNSUPPORTED, path, "\"peft_type\": \"%s\"; lorac reads LORA", type);
}

lorac_status scaling_of_peft(const json_t *c, const char *path, struct scaling *s, lorac_error *err)
{
    double none = NAN;
    TRY(refuse_settings(c, path, err));
    TRY(json_get_float(c, "lora_alpha", none, &s->alpha, path, err));
    TRY(json_get_bool(c, "use_rslora", false, &s->rslora, path, err));
    s->alpha_pattern = json_object_get(c, "alpha_pattern");
    return isfinite(s->alpha) ? LORAC_OK : fail(err, LORAC_FORMAT, path, "\"lora_alpha\" is missing or not finite");
}

lorac_status scaling_of_mlx(const json_t *c, const char *path, struct scaling *s, lorac_error *err)
{
    const char *type;
    const json_t *parameters = json_object_get(c, "lora_parameters");
    TRY(json_get_text(c, "fine_tune_type", "lora", &type, path, err));
    if (strcmp(type, "lora"))
        return fail(err, LORAC_UNSUPPORTED, path, "\"fine_tune_type\": \"%s\"; lorac reads lora", type);
    if (!json_is_object(parameters)) return fail(err, LORAC_FORMAT, path, "\"lora_parameters\" is missing");
    s->direct = true;
    TRY(json_get_float(parameters, "scale", NAN, &s->scale, path, err));
    return isfinite(s->scale) ? LORAC_OK : fail(err, LORAC_FORMAT, path, "\"lora_parameters\" has no finite \"scale\"");
}

/* PEFT matches a pattern's key as the whole name or its end behind a dot; the key is a regular expression. */
static bool pattern_matches(const char *key, const char *module)
{
    char expression[1024];
    int number;
    PCRE2_SIZE at;
    if (snprintf(expression, sizeof expression, "^(?:.*\\.)?(?:%s)$", key) >= (int)sizeof expression) return false;
    pcre2_code *code = pcre2_compile((PCRE2_SPTR)expression, PCRE2_ZERO_TERMINATED, PCRE2_UTF, &number, &at, NULL);
    pcre2_match_data *match = code ? pcre2_match_data_create_from_pattern(code, NULL) : NULL;
    bool yes = match && pcre2_match(code, (PCRE2_SPTR)module, PCRE2_ZERO_TERMINATED, 0, 0, match, NULL) >= 0;
    pcre2_match_data_free(match);
    pcre2_code_free(code);
    return yes;
}

double scaling_factor(const struct scaling *s, const char *module, size_t rank)
{
    double alpha = s->alpha;
    const char *key;
    json_t *value;
    if (s->direct) return s->scale;
    json_object_foreach((json_t *)(uintptr_t)s->alpha_pattern, key,
                        value) if (json_is_number(value) && pattern_matches(key, module))
    {
        alpha = json_number_value(value);
        break;
    }
    return alpha / (s->rslora ? sqrt((double)rank) : (double)rank);
}
