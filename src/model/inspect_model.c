/* inspect_model.c — describing models: GGUF files, Hugging Face and MLX folders, known to lorac or not. */
#include "model/config_json.h"
#include "model/inspect.h"

#include <lorac/model.h>
#include <stdio.h>
#include <string.h>

enum { CONFIG_CAP = 1 << 24, CARD_CAP = 4 << 20, MAX_BASES = 16 };

/* The shape's members: as reported, in a config.json, and in a GGUF below the architecture's name. */
static const struct {
    const char *name, *hf, *gguf;
} shape[] = {
    {"layers", "num_hidden_layers", "block_count"},
    {"hidden_size", "hidden_size", "embedding_length"},
    {"intermediate_size", "intermediate_size", "feed_forward_length"},
    {"heads", "num_attention_heads", "attention.head_count"},
    {"kv_heads", "num_key_value_heads", "attention.head_count_kv"},
    {"head_dim", "head_dim", "attention.key_length"},
    {"vocab_size", "vocab_size", "vocab_size"},
    {"context_length", "max_position_embeddings", "context_length"},
};
enum { SHAPE = sizeof shape / sizeof *shape };

/* ---- whether lorac computes it -------------------------------------------------------------- */

/* "supported"; and for a tally of words, how many weights of a model that opens they stand for. */
static lorac_status check_support(struct inspection *i, struct tally *t, lorac_error *err)
{
    lorac_model *model;
    lorac_error why = {0};
    lorac_status status = lorac_model_open(i->runtime, i->path, &model, &why);
    if (status == LORAC_OK) {
        lorac_model_info info = {.struct_size = sizeof info};
        lorac_model_get_info(model, &info);
        t->elements = info.parameters;
        t->element_bytes = info.weight_bytes;
        lorac_model_release(model);
    }
    if (status != LORAC_OK && status != LORAC_UNSUPPORTED) {
        if (err) *err = why;
        return status;
    }
    put_support(i->out, status, &why);
    return LORAC_OK;
}

/* ---- GGUF ----------------------------------------------------------------------------------- */

static void put_gguf_shape(json_t *out, const struct gguf *g, const char *architecture)
{
    char key[256];
    for (size_t s = 0; s < SHAPE; s++) {
        snprintf(key, sizeof key, "%s.%s", architecture, shape[s].gguf);
        put_gguf(out, shape[s].name, g, key);
    }
}

static void put_gguf_lineage(json_t *out, const struct gguf *g)
{
    static const char *const keys[] = {"name",    "organization", "basename", "finetune",
                                       "version", "size_label",   "repo_url"};
    static const char *const base_keys[] = {"name", "organization", "version", "repo_url"};
    json_t *lineage = json_object(), *bases = json_array();
    char key[64];
    for (size_t k = 0; k < sizeof keys / sizeof *keys; k++) {
        snprintf(key, sizeof key, "general.%s", keys[k]);
        put_gguf(lineage, keys[k], g, key);
    }
    for (size_t b = 0; b < MAX_BASES; b++) {
        json_t *base = json_object();
        for (size_t k = 0; k < sizeof base_keys / sizeof *base_keys; k++) {
            snprintf(key, sizeof key, "general.base_model.%zu.%s", b, base_keys[k]);
            put_gguf(base, base_keys[k], g, key);
        }
        if (json_object_size(base)) json_array_append(bases, base);
        json_decref(base);
    }
    if (json_array_size(bases)) json_object_set(lineage, "base_models", bases);
    json_decref(bases);
    if (json_object_size(lineage)) json_object_set(out, "lineage", lineage);
    json_decref(lineage);
}

/* The type that holds the most bytes names the quantisation. */
static void put_quantization(json_t *out, const struct tally *t)
{
    const char *type;
    json_t *entry;
    json_object_foreach(t->types, type, entry)
    {
        if ((size_t)json_integer_value(json_object_get(entry, "bytes")) != t->largest) continue;
        put_text(out, "quantization", type);
        break;
    }
}

static void put_bits(json_t *out, const struct tally *t)
{
    if (t->elements)
        json_object_set_new(out, "bits_per_weight", json_real((double)(t->element_bytes * 800 / t->elements) / 100));
}

static lorac_status describe_gguf(struct inspection *i, const struct gguf *g, const char *architecture,
                                  lorac_error *err)
{
    struct tally tally = {0};
    put_text(i->out, "kind", "model");
    put_text(i->out, "format", "GGUF");
    put_text(i->out, "architecture", architecture);
    tally_gguf(&tally, g);
    lorac_status status = check_support(i, &tally, err);
    put_gguf_shape(i->out, g, architecture);
    put_quantization(i->out, &tally);
    put_bits(i->out, &tally);
    tally_report(&tally, i->out);
    put_tokenizer(i);
    if (!json_object_get(i->out, "chat_template")) put_gguf(i->out, "chat_template", g, "tokenizer.chat_template");
    put_gguf(i->out, "license", g, "general.license");
    put_gguf_lineage(i->out, g);
    return status;
}

lorac_status inspect_gguf(struct inspection *i, lorac_error *err)
{
    struct gguf g;
    char *type = NULL, *architecture = NULL;
    TRY(gguf_open(i->memory, i->path, i->runtime->map_files, &g, err));
    lorac_status status = gguf_get_text(&g, "general.type", &type, err);
    if (status == LORAC_OK) status = gguf_get_text(&g, "general.architecture", &architecture, err);
    if (status == LORAC_OK)
        status = type && !strcmp(type, "adapter") ? inspect_gguf_adapter(i, &g, err)
                                                  : describe_gguf(i, &g, architecture ? architecture : "unknown", err);
    mem_free(i->memory, type);
    mem_free(i->memory, architecture);
    gguf_close(&g);
    return status;
}

/* ---- Hugging Face folders ------------------------------------------------------------------- */

/* The line after *at without its end; false at the end of the text. */
static bool next_line(const char **at, const char **line, size_t *length)
{
    if (!**at) return false;
    *line = *at;
    *length = strcspn(*at, "\n");
    *at += *length + ((*at)[*length] == '\n');
    while (*length && ((*line)[*length - 1] == '\r' || (*line)[*length - 1] == ' ')) --*length;
    return true;
}

static void add_value(json_t *values, const char *text, size_t length)
{
    while (length && (*text == ' ' || *text == '"' || *text == '\'')) text++, length--;
    while (length && (text[length - 1] == '"' || text[length - 1] == '\'')) length--;
    if (length) json_array_append_new(values, json_stringn(text, length));
}

/* The values of `key` in a model card's front matter: "key: value", or "- value" lines below "key:". */
static json_t *card_values(const char *card, const char *key)
{
    json_t *values = json_array();
    const char *line;
    size_t length, wanted = strlen(key);
    bool inside = false;
    if (strncmp(card, "---", 3)) return values;
    next_line(&card, &line, &length);
    while (next_line(&card, &line, &length) && strncmp(line, "---", 3)) {
        bool starts = length > wanted && !strncmp(line, key, wanted) && line[wanted] == ':';
        size_t indent = strspn(line, " ");
        if (starts)
            add_value(values, line + wanted + 1, length - wanted - 1);
        else if (inside && indent + 1 < length && line[indent] == '-')
            add_value(values, line + indent + 1, length - indent - 1);
        inside = starts || (inside && indent < length && line[indent] == '-');
    }
    return values;
}

/* A text file of the folder, or NULL where there is none that can be read. */
static char *read_text(struct inspection *i, const char *name)
{
    char *path = os_join(i->memory, i->path, name), *text = NULL;
    size_t size;
    if (path && os_is_file(path)) os_read(i->memory, path, CARD_CAP, &text, &size, NULL);
    mem_free(i->memory, path);
    return text;
}

static void put_first_line(json_t *out, const char *key, const char *text)
{
    const char *line;
    size_t length;
    while (next_line(&text, &line, &length)) {
        size_t indent = strspn(line, " \t");
        if (indent >= length) continue;
        json_object_set_new(out, key, json_stringn(line + indent, length - indent));
        return;
    }
}

static void put_card(struct inspection *i, const json_t *config)
{
    char *card = read_text(i, "README.md"), *license = read_text(i, "LICENSE");
    json_t *lineage = json_object(), *licenses = card_values(card ? card : "", "license");
    json_t *bases = card_values(card ? card : "", "base_model");
    if (json_array_size(licenses))
        json_object_set(i->out, "license", json_array_get(licenses, 0));
    else if (license)
        put_first_line(i->out, "license", license);
    put_text(lineage, "name", json_string_value(json_object_get(config, "_name_or_path")));
    if (json_array_size(bases)) json_object_set(lineage, "base_models", bases);
    if (json_object_size(lineage)) json_object_set(i->out, "lineage", lineage);
    json_decref(lineage);
    json_decref(licenses);
    json_decref(bases);
    mem_free(i->memory, card);
    mem_free(i->memory, license);
}

static void put_folder_shape(json_t *out, const json_t *config)
{
    const json_t *text = json_object_get(config, "text_config"); /* of models that also see */
    for (size_t s = 0; s < SHAPE; s++) {
        json_t *value = json_object_get(config, shape[s].hf);
        if (!value) value = json_object_get(text, shape[s].hf);
        if (json_is_integer(value)) json_object_set(out, shape[s].name, value);
    }
}

static void put_folder_quantization(json_t *out, json_t *scheme, const struct tally *t)
{
    if (scheme)
        json_object_set(out, "quantization", scheme);
    else
        put_quantization(out, t);
    put_bits(out, t);
}

static lorac_status describe_folder(struct inspection *i, const json_t *config, lorac_error *err)
{
    struct st_folder folder;
    struct tally tally = {0};
    const char *type = json_string_value(json_object_get(config, "model_type"));
    json_t *scheme = config_quantization(config);
    TRY(st_folder_open(i->memory, i->path, i->runtime->map_files, &folder, err));
    for (size_t s = 0; s < folder.shard_count; s++) tally_safetensors(&tally, &folder.shards[s]);
    st_folder_close(&folder);
    if (scheme) tally.elements = 0; /* words, of as many weights as only an opened model tells */
    put_text(i->out, "kind", "model");
    put_text(i->out, "format", json_is_object(json_object_get(config, "quantization")) ? "MLX" : "Hugging Face");
    put_text(i->out, "architecture", type ? type : "unknown");
    lorac_status status = check_support(i, &tally, err);
    put_folder_shape(i->out, config);
    put_folder_quantization(i->out, scheme, &tally);
    tally_report(&tally, i->out);
    put_tokenizer(i);
    put_card(i, config);
    return status;
}

lorac_status inspect_model_folder(struct inspection *i, lorac_error *err)
{
    char *path = os_join(i->memory, i->path, "config.json");
    json_t *config = NULL;
    lorac_status status =
        path ? json_read_file(i->memory, path, CONFIG_CAP, &config, err) : fail_memory(err, "a path", strlen(i->path));
    if (status == LORAC_OK)
        status = json_is_object(config) ? describe_folder(i, config, err)
                                        : fail(err, LORAC_FORMAT, path, "is not a JSON object");
    json_decref(config);
    mem_free(i->memory, path);
    return status;
}
