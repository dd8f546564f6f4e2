/* folder.c — what a converted folder holds besides weights: config.json, the tokenizer's files, licence and card. */
#include "convert/conversion.h"

#include <stdio.h>
#include <string.h>

enum { SMALL_CAP = 1 << 24 };

lorac_status write_json(const struct conversion *c, const char *folder, const char *name, const json_t *value,
                        bool sorted, lorac_error *err)
{
    struct text text = {.memory = c->memory};
    char *path = os_join(c->memory, folder, name);
    json_print(&text, value, (struct json_style){.indent = 4, .ascii = true, .sort_keys = sorted});
    text_puts(&text, "\n");
    lorac_status status = path && value && !text.failed ? os_write_whole(c->memory, path, text.data, text.length, err)
                                                        : fail_memory(err, "a file's text", text.length);
    text_free(&text);
    mem_free(c->memory, path);
    return status;
}

/* ---- config.json --------------------------------------------------------------------------------- */

/* MLX's: the mode, and the modules that have another; with a recipe all of them. */
static json_t *mlx_quantization(const struct conversion *c)
{
    json_t *all = quantization_json(&c->q);
    const struct item *items = c->items.items;
    for (size_t i = 0; i < c->items.count; i++) {
        const struct quantization *q = &items[i].q;
        if (items[i].quantized && (choice_by_module(c) || q->type != c->q.type || q->group != c->q.group))
            json_object_set_new(all, items[i].name, quantization_json(q));
    }
    return all;
}

static json_t *bnb_quantization(const struct conversion *c)
{
    return json_pack("{s:b, s:b, s:s, s:s, s:s, s:b, s:b, s:b, s:n, s:f, s:b, s:b, s:s}", "_load_in_4bit", 1,
                     "_load_in_8bit", 0, "bnb_4bit_compute_dtype", "float32", "bnb_4bit_quant_storage", "uint8",
                     "bnb_4bit_quant_type", "nf4", "bnb_4bit_use_double_quant", c->options->double_quant != 0,
                     "llm_int8_enable_fp32_cpu_offload", 0, "llm_int8_has_fp16_weight", 0, "llm_int8_skip_modules",
                     "llm_int8_threshold", 6.0, "load_in_4bit", 1, "load_in_8bit", 0, "quant_method", "bitsandbytes");
}

/* As mlx-lm: the stop tokens of generation_config.json are the config's. */
static lorac_status take_stops(const struct conversion *c, json_t *config, lorac_error *err)
{
    char *path = os_join(c->memory, c->model, "generation_config.json");
    json_t *generation = NULL;
    if (!path) return fail_memory(err, "a path", strlen(c->model));
    lorac_status status = os_is_file(path) ? json_read_file(c->memory, path, SMALL_CAP, &generation, err) : LORAC_OK;
    json_t *stops = json_object_get(generation, "eos_token_id");
    if (json_is_integer(stops) || json_array_size(stops)) json_object_set(config, "eos_token_id", stops);
    json_decref(generation);
    mem_free(c->memory, path);
    return status;
}

/* The type of numbers that was asked for is the one that the config names. */
static void name_dtype(const struct conversion *c, json_t *config)
{
    static const char *const keys[] = {"torch_dtype", "dtype"};
    for (size_t i = 0; c->options->dtype && i < 2; i++)
        if (json_object_get(config, keys[i])) json_object_set_new(config, keys[i], json_string(c->options->dtype));
}

static json_t *sorted_copy(const json_t *object)
{
    json_t *copy = json_object();
    const char *key, *least;
    json_t *value, *rest = json_copy((json_t *)object);
    while (json_object_size(rest)) {
        least = NULL;
        json_object_foreach(rest, key, value) if (!least || strcmp(key, least) < 0) least = key;
        json_object_set(copy, least, json_object_get(rest, least));
        json_object_del(rest, least);
    }
    json_decref(rest);
    return copy;
}

static void drop_quantization(json_t *config)
{
    json_object_del(config, "quantization");
    json_object_del(config, "quantization_config");
}

static lorac_status write_config(const struct conversion *c, const char *folder, lorac_error *err)
{
    json_t *config = json_copy(c->config), *text = json_object_get(config, "text_config");
    lorac_status status = LORAC_OK;
    json_object_del(config, "_name_or_path");
    if (!c->same || c->options->dequantize) drop_quantization(config), drop_quantization(text);
    name_dtype(c, config);
    if (json_is_object(text)) name_dtype(c, text);
    if (c->bnb)
        json_object_set_new(config, "quantization_config", bnb_quantization(c));
    else if (!c->same) {
        json_object_del(config, "vision_config");
        status = take_stops(c, config, err);
    }
    if (c->options->mode && !c->bnb) {
        json_t *quantization = mlx_quantization(c);
        json_object_set(config, "quantization", quantization);
        json_object_set_new(config, "quantization_config", quantization);
    }
    json_t *sorted = sorted_copy(config);
    if (status == LORAC_OK) status = write_json(c, folder, "config.json", sorted, false, err);
    json_decref(sorted);
    json_decref(config);
    return status;
}

/* ---- files that are copied ----------------------------------------------------------------------- */

static bool is_copied(const char *name)
{
    static const char *const endings[] = {".json", ".jsonl", ".jinja", ".model", ".tiktoken", ".txt", ".py"};
    static const char *const starts[] = {"LICENSE", "LICENCE", "NOTICE", "USE_POLICY"};
    static const char *const left_out[] = {"config.json", "model.safetensors.index.json", "hf_quant_config.json",
                                           "pytorch_model.bin.index.json", "quantize_config.json"};
    bool copied = false;
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) copied |= ends_with(name, endings[i]);
    for (size_t i = 0; i < sizeof starts / sizeof *starts; i++) copied |= !strncmp(name, starts[i], strlen(starts[i]));
    for (size_t i = 0; i < sizeof left_out / sizeof *left_out; i++) copied &= strcmp(name, left_out[i]) != 0;
    return copied;
}

static lorac_status copy_one(const struct conversion *c, const char *folder, const char *name, lorac_error *err)
{
    char *from = os_join(c->memory, c->model, name), *to = os_join(c->memory, folder, name);
    lorac_status status = from && to ? LORAC_OK : fail_memory(err, "a path", strlen(name));
    if (status == LORAC_OK && os_is_file(from)) status = os_copy_file(c->memory, from, to, err);
    mem_free(c->memory, from);
    mem_free(c->memory, to);
    return status;
}

static lorac_status copy_files(const struct conversion *c, const char *folder, lorac_error *err)
{
    char **names;
    size_t count;
    TRY(os_list(c->memory, c->model, &names, &count, err));
    lorac_status status = LORAC_OK;
    for (size_t i = 0; i < count && status == LORAC_OK; i++)
        if (is_copied(names[i])) status = copy_one(c, folder, names[i], err);
    os_names_free(c->memory, names, count);
    return status;
}

/* ---- the card ------------------------------------------------------------------------------------ */

/* The lines about the licence of the source's card. */
static lorac_status add_licence(const struct conversion *c, struct text *card, lorac_error *err)
{
    char *path = os_join(c->memory, c->model, "README.md"), *text = NULL;
    size_t size;
    if (!path) return fail_memory(err, "a path", strlen(c->model));
    lorac_status status = os_is_file(path) ? os_read(c->memory, path, SMALL_CAP, &text, &size, err) : LORAC_OK;
    char *end = text && !strncmp(text, "---\n", 4) ? strstr(text + 4, "\n---") : NULL;
    for (char *line = end ? text + 4 : NULL; line && line < end; line += strcspn(line, "\n") + 1)
        if (!strncmp(line, "license", 7) && line[strcspn(line, "\n") - 1] != ':')
            text_printf(card, "%.*s\n", (int)strcspn(line, "\n"), line);
    mem_free(c->memory, text);
    mem_free(c->memory, path);
    return status;
}

/* "org/name", as hubs name models. */
static bool is_hub_name(const char *name)
{
    const char *slash = name ? strchr(name, '/') : NULL;
    return slash && slash != name && slash[1] && !strchr(slash + 1, '/') && *name != '.' && *name != '~';
}

static const char *folder_name(const char *path)
{
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/') length--;
    while (length && path[length - 1] != '/') length--;
    return path + length;
}

static void describe(const struct conversion *c, struct text *card)
{
    text_printf(card, "# %s\n\nMade from `%s` by `lorac convert` (lorac %s): ", folder_name(c->out),
                folder_name(c->model), lorac_version());
    if (c->options->mode)
        text_printf(card, "%s, %zu bits in groups of %zu%s", quantization_mode(&c->q), quantization_bits(&c->q),
                    c->q.group, c->options->double_quant ? ", scales quantised too" : "");
    else
        text_printf(card, "not quantised%s%s", c->options->dtype ? ", " : "",
                    c->options->dtype ? c->options->dtype : "");
    text_puts(card, ".\n");
}

static lorac_status write_card(const struct conversion *c, const char *folder, lorac_error *err)
{
    struct text card = {.memory = c->memory};
    const char *base = json_string_value(json_object_get(c->config, "_name_or_path"));
    text_printf(&card, "---\nlibrary_name: %s\npipeline_tag: text-generation\n", c->bnb ? "transformers" : "mlx");
    if (!c->bnb) text_puts(&card, "tags:\n- mlx\n");
    if (is_hub_name(base)) text_printf(&card, "base_model: %s\n", base);
    lorac_status status = add_licence(c, &card, err);
    text_puts(&card, "---\n\n");
    describe(c, &card);
    char *path = os_join(c->memory, folder, "README.md");
    if (status == LORAC_OK)
        status = path && !card.failed ? os_write_whole(c->memory, path, card.data, card.length, err)
                                      : fail_memory(err, "the card", card.length);
    mem_free(c->memory, path);
    text_free(&card);
    return status;
}

lorac_status conversion_write_rest(struct conversion *c, const char *folder, lorac_error *err)
{
    TRY(copy_files(c, folder, err));
    TRY(write_config(c, folder, err));
    return write_card(c, folder, err);
}
