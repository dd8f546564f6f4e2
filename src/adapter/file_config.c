/* file_config.c — what adapter_config.json says of an adapter's numbers: the scale of each module, and settings under
 * which low-rank pairs mean something else. See file.h. */
#include "adapter/file.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

const char *const mlx_config_keys[] = {"fine_tune_type", "num_layers", "lora_parameters", "model", NULL};

lorac_status file_write_config(struct memory *m, const char *folder, const json_t *config, lorac_error *err)
{
    char *path = os_join(m, folder, "adapter_config.json");
    struct text text = {.memory = m};
    json_print(&text, config, (struct json_style){.indent = 2, .sort_keys = true});
    text_puts(&text, "\n");
    lorac_status status = !path || text.failed ? fail_memory(err, "a config", text.length)
                                               : os_write_whole(m, path, text.data, text.length, err);
    text_free(&text);
    mem_free(m, path);
    return status;
}

/* ---- settings ------------------------------------------------------------------------------- */

static bool is_set(const json_t *config, const char *key)
{
    const json_t *v = json_object_get(config, key);
    bool empty = (json_is_array(v) && !json_array_size(v)) || (json_is_object(v) && !json_object_size(v));
    return v && !json_is_null(v) && !json_is_false(v) && !empty;
}

const char *config_set(const json_t *config, const char *const *keys)
{
    for (; *keys; keys++)
        if (is_set(config, *keys)) return *keys;
    return NULL;
}

lorac_status file_check_pairs(const struct adapter_file *f, const char *format, lorac_error *err)
{
    static const char *const keys[] = {"target_parameters", "layer_replication",       "use_qalora", "use_bdlora",
                                       "arrow_config",      "alora_invocation_tokens", NULL};
    const char *key = config_set(f->config, keys);
    if (key) return fail(err, LORAC_UNSUPPORTED, f->config_path, "\"%s\" is set; %s has no such adapters", key, format);
    if (f->whole_count)
        return fail(err, LORAC_UNSUPPORTED, f->path,
                    "%zu tensor%s no low-rank pair, \"%s\" the first; %s holds pairs alone (no trained biases, "
                    "modules_to_save or token rows)",
                    f->whole_count, f->whole_count > 1 ? "s are" : " is", f->whole->name, format);
    for (size_t i = 0; i < f->modules.count; i++)
        if (file_modules(f)[i].bias.data)
            return fail(err, LORAC_UNSUPPORTED, f->path, "\"%s\" has a bias (lora_bias); %s holds pairs without",
                        file_modules(f)[i].name, format);
    return LORAC_OK;
}

/* ---- scales --------------------------------------------------------------------------------- */

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

static double alpha_of(const json_t *patterns, const char *module, double alpha)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)patterns, key,
                        value) if (json_is_number(value) &&
                                   pattern_matches(key, module)) return json_number_value(value);
    return alpha;
}

static lorac_status check_dora(const struct adapter_file *f, lorac_error *err)
{
    bool said, there = file_has_dora(f);
    TRY(json_get_bool(f->config, "use_dora", false, &said, f->config_path, err));
    if (said == there) return LORAC_OK;
    return fail(err, LORAC_MISMATCH, f->path, "the config says \"use_dora\": %s, the file has %s lora_magnitude_vector",
                said ? "true" : "false", there ? "a" : "no");
}

lorac_status file_scale_peft(struct adapter_file *f, lorac_error *err)
{
    const char *type;
    double alpha, none = NAN;
    bool rslora;
    const json_t *patterns = json_object_get(f->config, "alpha_pattern");
    TRY(json_get_text(f->config, "peft_type", "LORA", &type, f->config_path, err));
    if (strcmp(type, "LORA"))
        return fail(err, LORAC_UNSUPPORTED, f->config_path, "\"peft_type\": \"%s\"; lorac reads LORA", type);
    TRY(json_get_float(f->config, "lora_alpha", none, &alpha, f->config_path, err));
    TRY(json_get_bool(f->config, "use_rslora", false, &rslora, f->config_path, err));
    if (!isfinite(alpha)) return fail(err, LORAC_FORMAT, f->config_path, "\"lora_alpha\" is missing or not finite");
    TRY(check_dora(f, err));
    for (size_t i = 0; i < f->modules.count; i++) {
        struct file_module *m = &file_modules(f)[i];
        double rank = (double)m->a.rows;
        m->scale = alpha_of(patterns, m->name, alpha) / (rslora ? sqrt(rank) : rank);
    }
    return LORAC_OK;
}

lorac_status file_scale_mlx(struct adapter_file *f, lorac_error *err)
{
    const char *type;
    const json_t *parameters = json_object_get(f->config, "lora_parameters");
    double scale, none = NAN;
    TRY(json_get_text(f->config, "fine_tune_type", "lora", &type, f->config_path, err));
    if (strcmp(type, "lora") && strcmp(type, "dora"))
        return fail(err, LORAC_UNSUPPORTED, f->config_path, "\"fine_tune_type\": \"%s\"; lorac reads lora and dora",
                    type);
    if (!json_is_object(parameters)) return fail(err, LORAC_FORMAT, f->config_path, "\"lora_parameters\" is missing");
    TRY(json_get_float(parameters, "scale", none, &scale, f->config_path, err));
    if (!isfinite(scale)) return fail(err, LORAC_FORMAT, f->config_path, "\"lora_parameters\" has no finite \"scale\"");
    for (size_t i = 0; i < f->modules.count; i++) file_modules(f)[i].scale = scale;
    if (file_has_dora(f) == !strcmp(type, "dora")) return LORAC_OK;
    return fail(err, LORAC_MISMATCH, f->path, "the config says \"fine_tune_type\": \"%s\", the tensors are of %s", type,
                file_has_dora(f) ? "dora" : "lora");
}
