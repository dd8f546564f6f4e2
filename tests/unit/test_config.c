/* test_config.c — config.json and GGUF metadata: the rotary frequencies against transformers
 * (tests/golden/rope, tools/golden_rope.py), YaRN's keys of GGUF against llama.cpp, and every value that would change
 * numbers and is not known, refused by name; every family's golden folder with a key or a tensor more, less or of
 * another shape. */
#include "engine.h"

#include "file/safetensors.h"
#include "model/config.h"

#include <dirent.h>

static void frequencies_are_those_of_transformers(void **state)
{
    json_t *cases = json_of(TEST_DATA "/rope/cases.json"), *one;
    const double bound = 5e-6;
    double worst = 0;
    size_t i;
    json_array_foreach(cases, i, one)
    {
        struct model_config c;
        const struct family *family;
        float inverse[256], factor;
        const json_t *golden = json_object_get(one, "inverse");
        OK(config_from_json(json_object_get(one, "config"), "config.json", &family, &c, err));
        const struct rope_config *rope = &c.rope[ROPE_FULL];
        const json_t *tokens = json_object_get(one, "length"); /* of the sequence; missing: short */
        json_int_t length = json_integer_value(tokens);
        assert_true(rope->dims / 2 == json_array_size(golden) && rope->dims <= 512);
        rope_frequencies(rope, (size_t)length, NULL, inverse, &factor);
        for (size_t k = 0; k < rope->dims / 2; k++) {
            double wanted = json_number_value(json_array_get(golden, k)), off = fabs((double)inverse[k] / wanted - 1);
            if (!(off <= bound))
                fail_msg("case %zu, pair %zu: %.9g, transformers %.9g", i, k, (double)inverse[k], wanted);
            worst = fmax(worst, off);
        }
        if (!(fabs((double)factor / number(one, "factor") - 1) <= 1e-6))
            fail_msg("case %zu: factor %.9g, transformers %.9g", i, (double)factor, number(one, "factor"));
    }
    print_message("%zu cases within %.1e (bound %.0e)\n", json_array_size(cases), worst, bound);
    assert_true(json_array_size(cases) >= 8);
    json_decref(cases);
}

/* A folder's config.json with one key more, or another value. */
static void unknown_values_are_named(void **state)
{
    static const struct {
        const char *key, *value, *words;
        lorac_status status;
    } cases[] = {
        {"model_type", "\"llamo\"", "model_type \"llamo\" is not known to lorac (known and near: llama",
         LORAC_UNSUPPORTED},
        {"hidden_act", "\"gulu\"", "hidden_act \"gulu\"", LORAC_UNSUPPORTED},
        {"sliding_window", "4096", "\"sliding_window\"", LORAC_UNSUPPORTED},
        {"logit_scale", "0.5", "\"logit_scale\"", LORAC_UNSUPPORTED},
        {"rope_interleaved", "true", "rope_interleaved", LORAC_UNSUPPORTED},
        {"rope_scaling", "{\"type\": \"dynamo\", \"factor\": 2}", "\"dynamo\"", LORAC_UNSUPPORTED},
        {"rope_scaling", "{\"type\": \"linear\", \"factor\": 2, \"wobble\": 1}", "\"wobble\"", LORAC_UNSUPPORTED},
        {"rope_scaling", "{\"type\": \"linear\", \"partial_rotary_factor\": 0.5}", "partial_rotary_factor",
         LORAC_UNSUPPORTED},
        {"hidden_size", "0", "\"hidden_size\" is missing or zero", LORAC_FORMAT},
        {"hidden_size", "-4", "hidden_size", LORAC_FORMAT},
        {"hidden_size", "\"32\"", "hidden_size", LORAC_FORMAT},
        {"num_attention_heads", "null", "\"num_attention_heads\" is missing or zero", LORAC_FORMAT},
        {"rms_norm_eps", "true", "rms_norm_eps", LORAC_FORMAT},
    };
    static const char *const harmless[][2] = {{"sliding_window", "null"},
                                              {"rope_scaling", "null"},
                                              {"some_new_flag", "false"},
                                              {"use_cache", "true"},
                                              {"_model_name_or_path", "\"base\""},
                                              {"quantization", "null"},
                                              {"extra", "{}"}};
    json_t *good = json_of(MODELS "plain/config.json");
    struct model_config c;
    const struct family *family;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_t *changed = json_copy(good), *value = json_loads(cases[i].value, JSON_DECODE_ANY, NULL);
        json_object_set_new(changed, cases[i].key, value);
        FAILS(config_from_json(changed, "config.json", &family, &c, err), cases[i].status, cases[i].words);
        json_decref(changed);
    }
    for (size_t i = 0; i < sizeof harmless / sizeof *harmless; i++) {
        json_t *changed = json_copy(good);
        json_object_set_new(changed, harmless[i][0], json_loads(harmless[i][1], JSON_DECODE_ANY, NULL));
        OK(config_from_json(changed, "config.json", &family, &c, err));
        json_decref(changed);
    }
    json_decref(good);
}

/* A model that also sees: keys beside its language model's config are held to the same rule. */
static void unknown_values_outside_are_named(void **state)
{
    static const struct {
        const char *key, *value;
        bool refused;
    } cases[] = {{"wobble_factor", "1.5", true},    {"hidden_size", "48", true},
                 {"hidden_size", "16", false},      {"wobble", "false", false},
                 {"image_token_index", "7", false}, {"eos_token_id", "[1, 2]", false},
                 {"rope_theta", "7", true},         {"vision_config", "{\"a\": 1}", false}};
    static const char *const folders[] = {"gemma3_multimodal", "mistral3"};
    struct model_config c;
    const struct family *family;
    for (size_t f = 0; f < 2; f++)
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
            char path[300];
            snprintf(path, sizeof path, FAMILIES "%s/config.json", folders[f]);
            json_t *config = json_of(path), *text = json_object_get(config, "text_config");
            json_object_set_new(text, "hidden_size", json_integer(16));
            json_object_set_new(config, cases[i].key, json_loads(cases[i].value, JSON_DECODE_ANY, NULL));
            if (cases[i].refused)
                FAILS(config_from_json(config, "config.json", &family, &c, err), LORAC_UNSUPPORTED, cases[i].key);
            else
                OK(config_from_json(config, "config.json", &family, &c, err));
            json_decref(config);
        }
}

/* A folder whose config and tensors do not fit. */
static void misfits_are_named(void **state)
{
    static const struct {
        const char *key, *value, *words;
    } cases[] = {
        {"num_hidden_layers", "3", "tensor \"model.layers.2.input_layernorm.weight\" is missing"},
        {"num_hidden_layers", "1", "\"model.layers.1."},
        {"intermediate_size", "96", "mlp.gate_proj.weight\" is 64 x 32 in 2 dimensions, expected 96 x 32"},
        {"num_key_value_heads", "3", "makes no sense"},
        {"attention_bias", "true", "q_proj.bias\" is missing"},
        {"tie_word_embeddings", "false", "\"lm_head.weight\" is missing"},
        {"head_dim", "7", "makes no sense"},
        {"num_hidden_layers", "1000000000", "makes no sense"},
        {"vocab_size", "100", "embed_tokens.weight\" is 288 x 32"},
    };
    lorac_runtime *r = runtime_of(NULL, 1);
    struct memory memory = {0};
    char folder[256], path[300];
    folder_make(folder);
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    OK(os_copy_file(&memory, MODELS "plain/model.safetensors", path, err));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_t *config = json_of(MODELS "plain/config.json");
        lorac_error error = {0};
        lorac_model *m;
        json_object_set_new(config, cases[i].key, json_loads(cases[i].value, JSON_DECODE_ANY, NULL));
        char *text = json_dumps(config, 0);
        file_write(folder, "config.json", text);
        lorac_status status = lorac_model_open(r, folder, &m, &error);
        if (status == LORAC_OK || !strstr(error.message, cases[i].words) || !strstr(error.message, folder))
            fail_msg("%s %s: expected \"%s\", got %d: %s", cases[i].key, cases[i].value, cases[i].words, status,
                     error.message);
        free(text);
        json_decref(config);
    }
    folder_remove(folder);
    runtime_end(r);
}

/* ---- YaRN of GGUF files (tests/golden/yarn, tools/golden_yarn.py) ------------------------------- */

static void put(struct text *t, const void *bytes, size_t size)
{
    text_add(t, bytes, size);
}

static void put_string(struct text *t, const char *text)
{
    uint64_t length = strlen(text);
    put(t, &length, 8);
    put(t, text, length);
}

/* The GGUF file with f32 metadata more in front of its own; a text fills them up to a whole number of alignments. */
static void write_with_keys(const char *from, const char *to, const json_t *keys)
{
    struct memory memory = {0};
    struct text new = {.memory = &memory}, all = {.memory = &memory};
    char *bytes, name[80], fill[33] = "";
    size_t size;
    const char *key;
    json_t *value;
    uint32_t f32 = 6, string = 8;
    uint64_t count;
    json_object_foreach((json_t *)(uintptr_t)keys, key, value)
    {
        float number = (float)json_number_value(value);
        snprintf(name, sizeof name, "llama.rope.scaling.%s", key);
        put_string(&new, name);
        put(&new, &f32, 4);
        put(&new, &number, 4);
    }
    put_string(&new, "general.fill");
    put(&new, &string, 4);
    memset(fill, ' ', (32 - (new.length + 8) % 32) % 32);
    put_string(&new, fill);
    OK(os_read(&memory, from, 1 << 20, &bytes, &size, err));
    memcpy(&count, bytes + 16, 8);
    count += json_object_size(keys) + 1;
    put(&all, bytes, 16);
    put(&all, &count, 8);
    put(&all, new.data, new.length);
    put(&all, bytes + 24, size - 24);
    OK(os_write_whole(&memory, to, all.data, all.length, err));
    text_free(&new), text_free(&all), mem_free(&memory, bytes);
}

static double off_by(lorac_model *m, const int32_t *ids, size_t count, const json_t *golden)
{
    lorac_session_options o;
    lorac_session *s;
    double worst = 0, top = 0;
    lorac_session_options_init(&o);
    o.precision = LORAC_EXACT;
    OK(lorac_session_create(m, NULL, &o, &s, err));
    OK(lorac_session_append(s, ids, count, err));
    OK(lorac_sessions_forward(&s, 1, err));
    const float *logits = lorac_session_logits(s, 0);
    for (size_t i = 0; i < json_array_size(golden); i++) {
        double wanted = json_number_value(json_array_get(golden, i));
        worst = fmax(worst, fabs((double)logits[i] - wanted));
        top = fmax(top, fabs(wanted));
    }
    lorac_session_free(s);
    return worst / top;
}

/* yarn_attn_factor changes nothing in llama.cpp, attn_factor does. */
static void yarn_of_gguf_is_as_in_llama_cpp(void **state)
{
    const double bound = 1e-5;
    json_t *golden = json_of(TEST_DATA "/yarn/llama_cpp.json"), *one;
    lorac_runtime *r = runtime_of(NULL, 1);
    char folder[256], from[300], to[300];
    int32_t ids[100];
    double worst = 0;
    size_t i, count = ids_of(json_object_get(golden, "ids"), ids, 100);
    folder_make(folder);
    snprintf(from, sizeof from, MODELS "%s", string(golden, "model"));
    snprintf(to, sizeof to, "%s/model.gguf", folder);
    json_array_foreach(json_object_get(golden, "cases"), i, one)
    {
        write_with_keys(from, to, json_object_get(one, "keys"));
        lorac_model *m = model_in(r, to, "");
        double off = off_by(m, ids, count, json_object_get(one, "logits"));
        if (!(off <= bound)) fail_msg("case %zu: logits %.1e from llama.cpp's (bound %.0e)", i, off, bound);
        worst = fmax(worst, off);
        lorac_model_release(m);
    }
    print_message("%zu cases within %.1e (bound %.0e)\n", i, worst, bound);
    assert_true(i >= 4);
    folder_remove(folder);
    runtime_end(r);
    json_decref(golden);
}

/* ---- every family ----------------------------------------------------------------------------- */

enum { MOST_TENSORS = 64 };

/* The family's golden folder with this config and these tensors is refused in these words. */
static void refused(const char *family, const json_t *config, const struct st_tensor *tensors, size_t count,
                    const char *words)
{
    struct memory memory = {0};
    lorac_runtime *r = runtime_of(NULL, 1);
    lorac_model *m;
    lorac_error error = {0};
    char folder[256], path[300], *text = json_dumps(config, 0);
    folder_make(folder);
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    OK(safetensors_write(&memory, path, tensors, count, NULL, 0, err));
    file_write(folder, "config.json", text);
    if (lorac_model_open(r, folder, &m, &error) == LORAC_OK || !strstr(error.message, words))
        fail_msg("%s: expected \"%s\", got: %s", family, words, error.message);
    free(text);
    folder_remove(folder);
    runtime_end(r);
}

/* What a model that also sees has beside its language model is not looked at. */
static bool of_language(const struct st_tensor *t)
{
    return !strstr(t->name, "vision") && !strstr(t->name, "projector");
}

/* A tensor of layer 0 that nobody knows. */
static struct st_tensor surplus(const struct safetensors *file, char name[300])
{
    size_t i = 0;
    while (!of_language(&file->tensors[i]) || !strstr(file->tensors[i].name, ".0.")) assert_true(++i < file->count);
    struct st_tensor t = file->tensors[i];
    snprintf(name, 300, "%.*s.0.wobble.weight", (int)(strstr(t.name, ".0.") - t.name), t.name);
    t.name = name;
    return t;
}

/* One key more, one tensor less, one more, one with a row less: each is an error that names it. */
static void check_family(const char *family)
{
    struct memory memory = {0};
    struct safetensors file;
    struct st_tensor changed[MOST_TENSORS + 1];
    char path[300], words[300];
    snprintf(path, sizeof path, FAMILIES "%s/config.json", family);
    json_t *config = json_of(path), *unknown = json_deep_copy(config), *text = json_object_get(unknown, "text_config");
    snprintf(path, sizeof path, FAMILIES "%s/model.safetensors", family);
    OK(safetensors_open(&memory, path, true, &file, err));
    assert_true(file.count > 4 && file.count <= MOST_TENSORS);
    json_object_set_new(text ? text : unknown, "wobble_factor", json_real(1.5));
    refused(family, unknown, file.tensors, file.count, "\"wobble_factor\"");
    for (size_t i = 0; i < file.count; i++) {
        if (!of_language(&file.tensors[i])) continue;
        const char *name = strrchr(file.tensors[i].name, '.');
        memcpy(changed, file.tensors, file.count * sizeof *changed);
        changed[i] = changed[file.count - 1];
        size_t length = 0;
        while (name > file.tensors[i].name && name[-1] != '.') name--, length++;
        snprintf(words, sizeof words, "%.*s", (int)length, name); /* the module, whatever stands before */
        refused(family, config, changed, file.count - 1, words);
        changed[i] = file.tensors[i];
        changed[i].shape[0]--;
        changed[i].bytes = changed[i].bytes / file.tensors[i].shape[0] * changed[i].shape[0];
        refused(family, config, changed, file.count, words);
    }
    memcpy(changed, file.tensors, file.count * sizeof *changed);
    changed[file.count] = surplus(&file, path);
    refused(family, config, changed, file.count + 1, "wobble.weight");
    safetensors_close(&file);
    json_decref(config), json_decref(unknown);
}

static void every_family_refuses_by_name(void **state)
{
    DIR *folder = opendir(FAMILIES);
    size_t count = 0;
    assert_non_null(folder);
    for (struct dirent *e; (e = readdir(folder));)
        if (!strchr(e->d_name, '.')) check_family(e->d_name), count++;
    closedir(folder);
    print_message("%zu families\n", count);
    assert_true(count >= 28);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frequencies_are_those_of_transformers), cmocka_unit_test(unknown_values_are_named),
        cmocka_unit_test(unknown_values_outside_are_named),      cmocka_unit_test(misfits_are_named),
        cmocka_unit_test(yarn_of_gguf_is_as_in_llama_cpp),       cmocka_unit_test(every_family_refuses_by_name)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
