/* tokenizer_folder.c — the files beside a tokenizer.json: which tokens are BOS, EOS and stops, and the chat
 * template. All are optional; one that is there must be well formed. */
#include "text/tokenizer.h"

#include "base/os.h"
#include <string.h>

enum { CONFIG_CAP = 64 << 20, TEMPLATE_CAP = 4 << 20 };

lorac_status tokenizer_read_config(struct memory *m, const char *folder, const char *name, json_t **value,
                                   lorac_error *err)
{
    *value = NULL;
    char *path = os_join(m, folder, name);
    if (!path) return fail_memory(err, "a path", strlen(folder));
    lorac_status status = os_is_file(path) ? json_read_file(m, path, CONFIG_CAP, value, err) : LORAC_OK;
    mem_free(m, path);
    return status;
}

/* ---- roles ------------------------------------------------------------------------------- */

/* "bos_token": "<s>", or {"content": "<s>", ...}. A token that the files name must be special, too. */
static lorac_status read_role(struct lorac_tokenizer *t, const json_t *config, const char *key, int32_t *id,
                              lorac_error *err)
{
    const json_t *value = json_object_get(config, key);
    if (json_is_object(value)) value = json_object_get(value, "content");
    if (!json_is_string(value) || *id >= 0) return LORAC_OK;
    const char *content = json_string_value(value);
    size_t length = json_string_length(value);
    *id = tokenizer_find(t, content, length);
    if (*id < 0 || t->vocab.tokens[*id].flags & TOKEN_ADDED) return LORAC_OK;
    return tokenizer_add_token(t, *id, content, length, (struct added_token){.special = true}, err);
}

static lorac_status read_roles(struct lorac_tokenizer *t, const json_t *config, lorac_error *err)
{
    int32_t end_of_turn = -1;
    TRY(read_role(t, config, "bos_token", &t->special.bos, err));
    TRY(read_role(t, config, "eos_token", &t->special.eos, err));
    TRY(read_role(t, config, "unk_token", &t->special.unknown, err));
    TRY(read_role(t, config, "pad_token", &t->special.pad, err));
    TRY(read_role(t, config, "eot_token", &end_of_turn, err));
    tokenizer_add_stop(t, end_of_turn);
    return LORAC_OK;
}

/* Where the configuration says what to add, it overrules the tokenizer.json's post-processor, as in transformers. */
static lorac_status read_additions(struct lorac_tokenizer *t, const json_t *config, lorac_error *err)
{
    const json_t *bos = json_object_get(config, "add_bos_token"), *eos = json_object_get(config, "add_eos_token");
    if (!json_is_boolean(bos) && !json_is_boolean(eos)) return LORAC_OK;
    t->prefix.count = t->suffix.count = 0;
    if (json_is_true(bos) && t->special.bos >= 0) TRY(tokenizer_add_fixed(&t->prefix, t->special.bos, err));
    if (json_is_true(eos) && t->special.eos >= 0) TRY(tokenizer_add_fixed(&t->suffix, t->special.eos, err));
    return LORAC_OK;
}

/* "eos_token_id": 2 or [2, 7]. */
static void read_stops(struct lorac_tokenizer *t, const json_t *config)
{
    const json_t *ids = json_object_get(config, "eos_token_id");
    if (json_is_integer(ids)) tokenizer_add_stop(t, json_integer_value(ids));
    for (size_t i = 0; i < json_array_size(ids); i++) tokenizer_add_stop(t, json_integer_value(json_array_get(ids, i)));
}

/* ---- chat template ----------------------------------------------------------------------- */

static lorac_status keep(struct lorac_tokenizer *t, char **where, const json_t *text, lorac_error *err)
{
    if (!json_is_string(text) || *where) return LORAC_OK;
    *where = mem_text(t->memory, json_string_value(text), json_string_length(text));
    return *where ? LORAC_OK : fail_memory(err, "the chat template", json_string_length(text));
}

/* A template, or a list of {"name", "template"} with the names "default" and "tool_use". */
static lorac_status read_template(struct lorac_tokenizer *t, const json_t *config, lorac_error *err)
{
    const json_t *value = json_object_get(config, "chat_template");
    TRY(keep(t, &t->chat_template, value, err));
    for (size_t i = 0; i < json_array_size(value); i++) {
        const json_t *item = json_array_get(value, i), *text = json_object_get(item, "template");
        const char *name = json_string_value(json_object_get(item, "name"));
        if (name && !strcmp(name, "default")) TRY(keep(t, &t->chat_template, text, err));
        if (name && !strcmp(name, "tool_use")) TRY(keep(t, &t->chat_template_tools, text, err));
    }
    return LORAC_OK;
}

static lorac_status read_template_file(struct lorac_tokenizer *t, const char *folder, lorac_error *err)
{
    char *path = os_join(t->memory, folder, "chat_template.jinja");
    size_t size;
    if (!path) return fail_memory(err, "a path", strlen(folder));
    lorac_status status =
        os_is_file(path) ? os_read(t->memory, path, TEMPLATE_CAP, &t->chat_template, &size, err) : LORAC_OK;
    mem_free(t->memory, path);
    return status;
}

/* ---- all --------------------------------------------------------------------------------- */

lorac_status tokenizer_read_folder(struct lorac_tokenizer *t, const char *folder, lorac_error *err)
{
    static const char *const names[] = {"tokenizer_config.json", "special_tokens_map.json", "generation_config.json",
                                        "config.json"};
    enum { CONFIG, SPECIAL };
    TRY(read_template_file(t, folder, err));
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        json_t *config;
        TRY(tokenizer_read_config(t->memory, folder, names[i], &config, err));
        lorac_status status = i <= SPECIAL ? read_roles(t, config, err) : LORAC_OK;
        if (status == LORAC_OK && i == CONFIG) status = read_template(t, config, err);
        if (status == LORAC_OK && i == CONFIG) status = read_additions(t, config, err);
        if (i > SPECIAL) read_stops(t, config);
        json_decref(config);
        if (status != LORAC_OK) return status;
    }
    tokenizer_add_stop(t, t->special.eos);
    return LORAC_OK;
}
