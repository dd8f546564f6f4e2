/* test_adapters.c — adapter folders of PEFT and mlx-lm: read, written, read again; on a GGUF and on the Hugging Face
 * form of one model; scales; and everything that must be refused by name. */
#include "engine.h"

#include "adapter/adapter.h"
#include "model/model.h"
#include "train/trainer.h"

enum { MOST_TENSORS = 16, MOST_FLOATS = 4096 };

/* ---- folders ---------------------------------------------------------------------------------- */

struct tensors {
    struct st_tensor list[MOST_TENSORS];
    char names[MOST_TENSORS][160];
    size_t count;
};
static float floats[MOST_FLOATS];

static void add(struct tensors *t, const char *name, size_t rows, size_t cols)
{
    assert_true(t->count < MOST_TENSORS && rows * cols <= MOST_FLOATS);
    for (size_t i = 0; i < MOST_FLOATS; i++) floats[i] = (float)uniform(77, i) / 4;
    snprintf(t->names[t->count], sizeof *t->names, "%s", name);
    t->list[t->count] = (struct st_tensor){.name = t->names[t->count],
                                           .dtype = ST_F32,
                                           .dims = 2,
                                           .shape = {rows, cols},
                                           .data = (const uint8_t *)floats,
                                           .bytes = rows * cols * sizeof *floats};
    t->count++;
}

/* PEFT's pair for a module of layer `layer`. */
static void add_pair(struct tensors *t, size_t layer, const char *module, size_t rank, size_t in, size_t out)
{
    char name[160];
    snprintf(name, sizeof name, "base_model.model.model.layers.%zu.%s.lora_A.weight", layer, module);
    add(t, name, rank, in);
    snprintf(name, sizeof name, "base_model.model.model.layers.%zu.%s.lora_B.weight", layer, module);
    add(t, name, out, rank);
}

static void write_adapter(const char *folder, const char *file, const char *config, const struct tensors *t)
{
    struct memory memory = {0};
    char path[400];
    snprintf(path, sizeof path, "%s/%s", folder, file);
    OK(safetensors_write(&memory, path, t->list, t->count, NULL, 0, err));
    file_write(folder, "adapter_config.json", config);
}

struct fixture {
    lorac_runtime *runtime;
    lorac_model *model; /* hidden 32, q 32 x 32, k and v 16 x 32, MLP 64; 2 layers */
    char folder[256];
    lorac_adapter *adapter;
};

static int open_fixture(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    f->runtime = runtime_of(NULL, 2);
    f->model = model_of(f->runtime, "plain");
    folder_make(f->folder);
    *state = f;
    return 0;
}

static int close_fixture(void **state)
{
    struct fixture *f = *state;
    folder_remove(f->folder);
    lorac_model_release(f->model);
    runtime_end(f->runtime);
    free(f);
    return 0;
}

/* ---- round trips ------------------------------------------------------------------------------ */

/* Trains one step at rate 0 from an adapter: its folder in both formats. */
static void rewrite(lorac_runtime *r, const char *model, int layers, const char *from, const char *to)
{
    lorac_model *m = model_of(r, model);
    int32_t ids[4] = {5, 6, 7, 8};
    size_t length = 4;
    lorac_dataset *d;
    lorac_trainer *t;
    lorac_trainer_options o;
    OK(lorac_dataset_from_tokens(r, ids, &length, 1, &d, err));
    lorac_trainer_options_init(&o);
    o.rank = 4;
    o.scale = 2;
    o.num_layers = layers;
    o.iterations = 1;
    o.learning_rate = 0;
    o.steps_per_eval = 0;
    o.format = LORAC_FORMAT_BOTH;
    o.initial_adapter = from;
    o.adapter_path = to;
    o.base_name = "base";
    OK(lorac_trainer_create(m, d, NULL, &o, &t, err));
    OK(lorac_trainer_run(t, NULL, NULL, NULL, err));
    lorac_trainer_free(t);
    lorac_dataset_close(d);
    lorac_model_release(m);
}

static void hash_of(lorac_runtime *r, const char *model, const char *path, char hash[65])
{
    lorac_adapter *a;
    lorac_adapter_info info = {.struct_size = sizeof info};
    lorac_model *m = model_of(r, model);
    OK(lorac_adapter_open(m, path, &a, err));
    lorac_adapter_get_info(a, &info);
    assert_true(info.scale == 2 && info.rank == 4);
    memcpy(hash, info.hash, sizeof info.hash);
    lorac_adapter_release(a);
    lorac_model_release(m);
}

static void assert_same_file(const char *a, const char *b, const char *name)
{
    struct memory memory = {0};
    char path[700], *bytes[2];
    size_t size[2];
    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/%s", i ? b : a, name);
        OK(os_read(&memory, path, 1 << 24, &bytes[i], &size[i], err));
    }
    if (size[0] != size[1] || memcmp(bytes[0], bytes[1], size[0])) fail_msg("%s differs between %s and %s", name, a, b);
    for (int i = 0; i < 2; i++) mem_free(&memory, bytes[i]);
}

/* PEFT's own adapter, written through a GGUF and a Hugging Face base in both formats: one content, byte for byte. */
static void both_formats_and_bases_hold_the_same(void **state)
{
    struct fixture *f = *state;
    static const char *const golden = TEST_DATA "/training/bias", *const bases[] = {"bias", "bias-q8_0.gguf"};
    char folder[2][300], hash[65], other[65], path[700];
    hash_of(f->runtime, bases[0], golden, hash);
    for (int i = 0; i < 2; i++) {
        snprintf(folder[i], sizeof *folder, "%s/%d", f->folder, i);
        rewrite(f->runtime, bases[i], 2, golden, folder[i]);
        for (int base = 0; base < 2; base++) {
            hash_of(f->runtime, bases[base], golden, other);
            assert_string_equal(hash, other);
            hash_of(f->runtime, bases[base], folder[i], other);
            assert_string_equal(hash, other);
            snprintf(path, sizeof path, "%s/adapters.safetensors", folder[i]); /* mlx-lm's */
            hash_of(f->runtime, bases[base], path, other);
            assert_string_equal(hash, other);
        }
    }
    assert_same_file(folder[0], folder[1], "adapter_model.safetensors");
    assert_same_file(folder[0], folder[1], "adapters.safetensors");
    assert_same_file(folder[0], folder[1], "adapter_config.json");
    snprintf(path, sizeof path, "%s/adapter_model.safetensors", folder[0]); /* mlx-lm's file alone is left */
    assert_int_equal(unlink(path), 0);
    hash_of(f->runtime, bases[1], folder[0], other);
    assert_string_equal(hash, other);
}

/* ---- a GGUF of the same weights ------------------------------------------------------------------ */

static void put_u32(struct text *t, uint32_t x)
{
    text_add(t, &x, 4);
}
static void put_u64(struct text *t, uint64_t x)
{
    text_add(t, &x, 8);
}
static void put_string(struct text *t, const char *s)
{
    put_u64(t, strlen(s));
    text_puts(t, s);
}
static void put_size(struct text *t, const char *key, uint32_t value)
{
    put_string(t, key);
    put_u32(t, 4);
    put_u32(t, value);
}
static void put_real(struct text *t, const char *key, float value)
{
    put_string(t, key);
    put_u32(t, 6);
    text_add(t, &value, 4);
}

/* GGUF's name of a Hugging Face tensor; heads of q and k, whose rows are interleaved there. */
static size_t gguf_name(const char *hf, char *name)
{
    static const struct {
        const char *hf, *gguf;
        size_t heads;
    } parts[] = {{"input_layernorm", "attn_norm", 0}, {"post_attention_layernorm", "ffn_norm", 0},
                 {"self_attn.q_proj", "attn_q", 4},   {"self_attn.k_proj", "attn_k", 2},
                 {"self_attn.v_proj", "attn_v", 0},   {"self_attn.o_proj", "attn_output", 0},
                 {"mlp.gate_proj", "ffn_gate", 0},    {"mlp.up_proj", "ffn_up", 0},
                 {"mlp.down_proj", "ffn_down", 0}};
    size_t layer;
    if (!strcmp(hf, "model.embed_tokens.weight")) return strcpy(name, "token_embd.weight"), 0;
    if (!strcmp(hf, "model.norm.weight")) return strcpy(name, "output_norm.weight"), 0;
    assert_int_equal(sscanf(hf, "model.layers.%zu.", &layer), 1);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (strstr(hf, parts[i].hf)) {
            sprintf(name, "blk.%zu.%s.weight", layer, parts[i].gguf);
            return parts[i].heads;
        }
    fail_msg("%s", hf);
    return 0;
}

/* Row 2i + j of a head of 8 in the file is row 4j + i of Hugging Face's. */
static void put_rows(struct text *t, const struct st_tensor *s, size_t heads)
{
    size_t row_bytes = s->shape[1] * 4;
    for (size_t row = 0; heads && row < s->shape[0]; row++)
        text_add(t, s->data + (row / 8 * 8 + row % 2 * 4 + row % 8 / 2) * row_bytes, row_bytes);
    if (!heads) text_add(t, s->data, s->bytes);
}

static void write_gguf(const char *path)
{
    struct memory memory = {0};
    struct safetensors s;
    struct text t = {.memory = &memory}, data = {.memory = &memory};
    OK(safetensors_open(&memory, MODELS "plain/model.safetensors", true, &s, err));
    text_puts(&t, "GGUF");
    put_u32(&t, 3);
    put_u64(&t, s.count);
    put_u64(&t, 9);
    put_string(&t, "general.architecture");
    put_u32(&t, 8);
    put_string(&t, "llama");
    put_size(&t, "llama.block_count", 2);
    put_size(&t, "llama.embedding_length", 32);
    put_size(&t, "llama.feed_forward_length", 64);
    put_size(&t, "llama.attention.head_count", 4);
    put_size(&t, "llama.attention.head_count_kv", 2);
    put_size(&t, "llama.context_length", 256);
    put_real(&t, "llama.attention.layer_norm_rms_epsilon", 1e-5f);
    put_real(&t, "llama.rope.freq_base", 10000);
    for (size_t i = 0; i < s.count; i++) {
        const struct st_tensor *from = &s.tensors[i];
        char name[64];
        size_t heads = gguf_name(from->name, name);
        put_string(&t, name);
        put_u32(&t, (uint32_t)from->dims);
        for (size_t d = from->dims; d--;) put_u64(&t, from->shape[d]);
        put_u32(&t, 0);
        put_u64(&t, data.length);
        put_rows(&data, from, heads);
        while (data.length % 32) text_add(&data, "", 1);
    }
    while (t.length % 32) text_add(&t, "", 1);
    text_add(&t, data.data, data.length);
    OK(os_write_whole(&memory, path, t.data, t.length, err));
    text_free(&t);
    text_free(&data);
    safetensors_close(&s);
    assert_int_equal(memory.used, 0);
}

static void logits_of(lorac_model *m, const char *adapter, float logits[288])
{
    lorac_session_options o;
    lorac_session *s;
    lorac_adapter *a;
    lorac_adapter_set *set = NULL;
    const double one = 1;
    int32_t ids[100];
    draw_ids(1, ids, 100);
    lorac_session_options_init(&o);
    o.precision = LORAC_EXACT;
    if (adapter) {
        OK(lorac_adapter_open(m, adapter, &a, err));
        OK(lorac_adapter_set_create(&a, &one, 1, &set, err));
        lorac_adapter_release(a);
    }
    OK(lorac_session_create(m, set, &o, &s, err));
    lorac_adapter_set_release(set);
    OK(lorac_session_append(s, ids, 100, err));
    OK(lorac_sessions_forward(&s, 1, err));
    memcpy(logits, lorac_session_logits(s, 0), 288 * sizeof *logits);
    lorac_session_free(s);
}

static void one_adapter_on_both_forms(void **state)
{
    struct fixture *f = *state;
    char path[300];
    lorac_model *gguf;
    float base[2][288], with[2][288];
    double off = 0, changed = 0;
    snprintf(path, sizeof path, "%s/plain.gguf", f->folder);
    write_gguf(path);
    OK(lorac_model_open(f->runtime, path, &gguf, err));
    for (int i = 0; i < 2; i++) {
        logits_of(i ? gguf : f->model, NULL, base[i]);
        logits_of(i ? gguf : f->model, TEST_DATA "/training/constant", with[i]);
    }
    for (int i = 0; i < 288; i++) {
        off = fmax(off,
                   fmax(fabs((double)base[0][i] - (double)base[1][i]), fabs((double)with[0][i] - (double)with[1][i])));
        changed = fmax(changed, fabs((double)base[0][i] - (double)with[0][i]));
    }
    print_message("logits of the two forms differ by %.2e (bound 2e-5); the adapter changes them by %.2e\n", off,
                  changed);
    assert_true(off <= 2e-5 && changed > 1e-2);
    lorac_model_release(gguf);
}

/* ---- scales ------------------------------------------------------------------------------------- */

#define PEFT "\"peft_type\":\"LORA\",\"r\":4,\"lora_alpha\":8"

static double scale_of(struct fixture *f, const char *config, size_t module)
{
    struct tensors t = {.count = 0};
    add_pair(&t, 0, "self_attn.q_proj", 4, 32, 32);
    add_pair(&t, 1, "self_attn.q_proj", 2, 32, 32);
    add_pair(&t, 1, "mlp.down_proj", 4, 64, 32);
    write_adapter(f->folder, "adapter_model.safetensors", config, &t);
    OK(lorac_adapter_open(f->model, f->folder, &f->adapter, err));
    assert_int_equal(f->adapter->layout.count, 3);
    double scale = f->adapter->layout.modules[module].scale;
    lorac_adapter_release(f->adapter);
    return scale;
}

static void scales_follow_the_config(void **state)
{
    struct fixture *f = *state;
    assert_true(scale_of(f, "{" PEFT "}", 0) == 2);
    assert_true(scale_of(f, "{" PEFT ",\"rank_pattern\":{\"layers.1.self_attn.q_proj\":2}}", 1) ==
                4); /* alpha over its own rank */
    assert_true(scale_of(f, "{" PEFT ",\"alpha_pattern\":{\"layers.1.self_attn.q_proj\":3}}", 0) == 2);
    assert_true(scale_of(f, "{" PEFT ",\"alpha_pattern\":{\"layers.1.self_attn.q_proj\":3}}", 1) == 1.5);
    assert_true(scale_of(f, "{" PEFT ",\"alpha_pattern\":{\".*down_proj\":40,\"q_proj\":3}}", 2) == 10);
    assert_true(scale_of(f, "{" PEFT ",\"alpha_pattern\":{\"own_proj\":40}}", 2) == 2); /* no end behind a dot */
    assert_true(scale_of(f, "{" PEFT ",\"use_rslora\":true}", 0) == 4);
    assert_true(fabs(scale_of(f, "{" PEFT ",\"use_rslora\":true}", 1) - 8 / sqrt(2)) < 1e-15);
}

/* ---- refusals ------------------------------------------------------------------------------------ */

static void refuse(struct fixture *f, const char *config, const struct tensors *t, lorac_status status,
                   const char *words)
{
    write_adapter(f->folder, "adapter_model.safetensors", config, t);
    FAILS(lorac_adapter_open(f->model, f->folder, &f->adapter, err), status, words);
}

static void what_does_not_fit_is_named(void **state)
{
    struct fixture *f = *state;
    struct tensors t = {.count = 0};
    add_pair(&t, 7, "self_attn.q_proj", 4, 32, 32);
    refuse(f, "{" PEFT "}", &t, LORAC_MISMATCH, "model.layers.7.self_attn.q_proj");
    add_pair(&t, 0, "self_attn.q_proj", 4, 32, 32);
    refuse(f, "{" PEFT "}", &t, LORAC_MISMATCH, "1 of 2 modules match nothing");
    t.count = 0;
    add_pair(&t, 0, "self_attn.q_proj", 4, 32, 32);
    t.count = 1;
    refuse(f, "{" PEFT "}", &t, LORAC_MISMATCH, "half a pair: \"model.layers.0.self_attn.q_proj\" has no lora_B");
    t.count = 0;
    add_pair(&t, 0, "self_attn.k_proj", 4, 32, 32); /* k has 16 rows */
    refuse(f, "{" PEFT "}", &t, LORAC_MISMATCH, "k_proj\": lora_B is 32 x 4, the base needs 16 x 4");
    t.count = 0;
    add_pair(&t, 0, "self_attn.q_proj", 4, 31, 32);
    refuse(f, "{" PEFT "}", &t, LORAC_MISMATCH, "lora_A is 4 x 31, the base needs 4 x 32");
    t.count = 0;
    add_pair(&t, 0, "self_attn.q_proj", 4, 32, 32);
    t.list[1].shape[0] = 64; /* another rank than A's */
    t.list[1].shape[1] = 2;
    refuse(f, "{" PEFT "}", &t, LORAC_MISMATCH, "lora_A is 4 x 32 and lora_B 64 x 2, no pair");
    t.list[1].shape[0] = 32;
    t.list[1].shape[1] = 4;
    t.list[1].dtype = ST_I32;
    refuse(f, "{" PEFT "}", &t, LORAC_UNSUPPORTED, "type I32");
    t.count = 0;
    refuse(f, "{" PEFT "}", &t, LORAC_MISMATCH, "empty");
}

static void settings_that_change_numbers_are_named(void **state)
{
    struct fixture *f = *state;
    struct tensors t = {.count = 0};
    static const struct {
        const char *config, *words;
        lorac_status status;
    } cases[] = {
        {"{" PEFT ",\"use_dora\":true}", "use_dora", LORAC_MISMATCH}, /* there is no magnitude */
        {"{" PEFT ",\"bias\":\"all\"}", "bias", LORAC_UNSUPPORTED},
        {"{" PEFT ",\"modules_to_save\":[\"lm_head\"]}", "modules_to_save", LORAC_UNSUPPORTED},
        {"{" PEFT ",\"layer_replication\":[[0,1]]}", "layer_replication", LORAC_UNSUPPORTED},
        {"{\"peft_type\":\"IA3\",\"lora_alpha\":8}", "IA3", LORAC_UNSUPPORTED},
        {"{\"peft_type\":\"LORA\"}", "lora_alpha", LORAC_FORMAT},
        {"{\"lora_alpha\":\"8\"}", "lora_alpha", LORAC_FORMAT},
        {"[]", "adapter_config.json", LORAC_FORMAT},
        {"{", "adapter_config.json", LORAC_FORMAT},
    };
    add_pair(&t, 0, "self_attn.q_proj", 4, 32, 32);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        refuse(f, cases[i].config, &t, cases[i].status, cases[i].words);
    add(&t, "base_model.model.model.layers.0.self_attn.q_proj.lora_magnitude_vector", 1, 32);
    t.list[2].dims = 1;
    t.list[2].shape[0] = 32;
    refuse(f, "{" PEFT "}", &t, LORAC_MISMATCH, "lora_magnitude_vector");
    refuse(f, "{" PEFT ",\"use_dora\":true}", &t, LORAC_UNSUPPORTED, "use_dora");
    t.list[2].shape[0] = 31;
    t.list[2].bytes = 31 * sizeof *floats;
    refuse(f, "{" PEFT ",\"use_dora\":true}", &t, LORAC_MISMATCH, "the magnitude of");
}

static void mlx_settings_are_named(void **state)
{
    struct fixture *f = *state;
    struct tensors t = {.count = 0};
    static const struct {
        const char *config, *words;
        lorac_status status;
    } cases[] = {
        {"{\"fine_tune_type\":\"dora\",\"lora_parameters\":{\"scale\":2}}", "dora", LORAC_MISMATCH},
        {"{\"fine_tune_type\":\"full\"}", "full", LORAC_UNSUPPORTED},
        {"{\"fine_tune_type\":\"lora\"}", "lora_parameters", LORAC_FORMAT},
        {"{\"lora_parameters\":{\"rank\":2}}", "scale", LORAC_FORMAT},
    };
    add(&t, "model.layers.0.self_attn.k_proj.lora_a", 32, 4);
    add(&t, "model.layers.0.self_attn.k_proj.lora_b", 4, 16);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_adapter(f->folder, "adapters.safetensors", cases[i].config, &t);
        FAILS(lorac_adapter_open(f->model, f->folder, &f->adapter, err), cases[i].status, cases[i].words);
    }
    write_adapter(f->folder, "adapters.safetensors", "{\"lora_parameters\":{\"rank\":4,\"scale\":3}}", &t);
    OK(lorac_adapter_open(f->model, f->folder, &f->adapter, err));
    assert_true(f->adapter->layout.modules[0].scale == 3 && f->adapter->layout.modules[0].rank == 4);
    lorac_adapter_release(f->adapter);
}

static void missing_files_are_named(void **state)
{
    struct fixture *f = *state;
    char path[300];
    FAILS(lorac_adapter_open(f->model, f->folder, &f->adapter, err), LORAC_NOT_FOUND, "adapters.safetensors");
    snprintf(path, sizeof path, "%s/nothing", f->folder);
    FAILS(lorac_adapter_open(f->model, path, &f->adapter, err), LORAC_NOT_FOUND, "nothing");
    file_write(f->folder, "adapter_model.safetensors", "damaged");
    FAILS(lorac_adapter_open(f->model, f->folder, &f->adapter, err), LORAC_NOT_FOUND, "adapter_config.json");
    file_write(f->folder, "adapter_config.json", "{" PEFT "}");
    FAILS(lorac_adapter_open(f->model, f->folder, &f->adapter, err), LORAC_FORMAT, "adapter_model.safetensors");
}

static void sets_refuse(void **state)
{
    struct fixture *f = *state;
    lorac_model *other = model_of(f->runtime, "llama3");
    lorac_adapter *a[2];
    lorac_adapter_set *set;
    double factors[2] = {1, 1};
    OK(lorac_adapter_open(f->model, TEST_DATA "/training/constant", &a[0], err));
    OK(lorac_adapter_open(other, TEST_DATA "/training/cosine", &a[1], err));
    FAILS(lorac_adapter_set_create(a, factors, 2, &set, err), LORAC_MISMATCH, "another model");
    FAILS(lorac_adapter_set_create(a, factors, 0, &set, err), LORAC_INVALID_ARGUMENT, "at least one");
    factors[0] = NAN;
    FAILS(lorac_adapter_set_create(a, factors, 1, &set, err), LORAC_INVALID_ARGUMENT, "finite");
    FAILS(lorac_adapter_open(f->model, TEST_DATA "/training/cosine", &f->adapter, err), LORAC_MISMATCH,
          "match nothing");
    for (int i = 0; i < 2; i++) lorac_adapter_release(a[i]);
    lorac_model_release(other);
}

/* The golden adapter of a family, read, written in both formats, and read again from each. */
static void check_names(const char *family, const char *peft, const char *mlx)
{
    lorac_runtime *r = runtime_of(NULL, 1);
    struct memory *memory = &r->memory;
    lorac_model *m;
    char folder[256], path[400], name[300];
    snprintf(path, sizeof path, TEST_DATA "/families/%s", family);
    OK(lorac_model_open(r, path, &m, err));
    struct linear_list linears = model_linears(m);
    struct adapter_layout layout, again;
    float *numbers, *same;
    snprintf(path, sizeof path, TEST_DATA "/families/%s.training", family);
    OK(adapter_read(memory, path, linears, &layout, &numbers, err));
    folder_make(folder);
    struct adapter_description d = {
        .base = "base", .layers = m->config.layers, .peft = true, .mlx = true, .linears = linears};
    OK(adapter_write(memory, folder, &layout, numbers, &d, err));
    for (int i = 0; i < 2; i++) {
        struct safetensors file;
        snprintf(path, sizeof path, "%s/%s", folder, i ? "adapters.safetensors" : "adapter_model.safetensors");
        OK(safetensors_open(memory, path, true, &file, err));
        snprintf(name, sizeof name, i ? "%s.lora_a" : "base_model.model.%s.lora_A.weight", i ? mlx : peft);
        if (!safetensors_find(&file, name)) fail_msg("%s: no %s in %s", family, name, path);
        safetensors_close(&file);
        OK(adapter_read(memory, path, linears, &again, &same, err));
        assert_int_equal(again.count, layout.count);
        assert_int_equal(again.floats, layout.floats);
        assert_memory_equal(same, numbers, layout.floats * sizeof *same);
        mem_free(memory, again.modules), mem_free(memory, same);
    }
    mem_free(memory, layout.modules), mem_free(memory, numbers);
    folder_remove(folder);
    lorac_model_release(m);
    runtime_end(r);
}

/* What PEFT and mlx-lm call the modules of models that also see, and of GPT-2 and GPT-NeoX. */
static void names_are_those_of_each_program(void **state)
{
    check_names("gemma3_multimodal", "model.language_model.layers.0.self_attn.q_proj",
                "language_model.model.layers.0.self_attn.q_proj");
    check_names("mistral3", "model.language_model.layers.1.mlp.down_proj",
                "language_model.model.layers.1.mlp.down_proj");
    check_names("gpt2", "transformer.h.0.attn.c_attn", "model.h.0.attn.c_attn");
    check_names("gpt_neox", "gpt_neox.layers.1.mlp.dense_h_to_4h", "model.h.1.mlp.dense_h_to_4h");
    check_names("granitemoehybrid", "model.layers.0.shared_mlp.input_linear", "model.layers.0.mlp.up_proj");
    check_names("llama", "model.layers.0.self_attn.q_proj", "model.layers.0.self_attn.q_proj");
}

/* mlx-lm trains gate and up of dense Granite 4 apart: the fused module has the ranks of both, or of the one there is.
 */
static void parts_of_a_fused_module_become_one(void **state)
{
    static const char config[] = "{\"fine_tune_type\":\"lora\",\"lora_parameters\":{\"scale\":2.0}}";
    static const size_t ranks[3][2] = {{3, 2}, {0, 2}, {3, 0}};
    lorac_runtime *r = runtime_of(NULL, 1);
    lorac_model *m = model_in(r, FAMILIES, "granitemoehybrid");
    struct linear_list linears = model_linears(m);
    const struct linear *gate = m->layers[0].gate_up.linear[0];
    size_t in = gate->weight.cols, rows = gate->weight.rows;
    for (size_t c = 0; c < 3; c++) {
        static struct tensors t;
        struct adapter_layout layout;
        char folder[256], name[2][64] = {"model.layers.0.mlp.gate_proj", "model.layers.0.mlp.up_proj"}, text[80];
        float *numbers;
        t.count = 0;
        folder_make(folder);
        for (size_t p = 0; p < 2; p++) {
            if (!ranks[c][p]) continue;
            snprintf(text, sizeof text, "%s.lora_a", name[p]);
            add(&t, text, in, ranks[c][p]);
            snprintf(text, sizeof text, "%s.lora_b", name[p]);
            add(&t, text, ranks[c][p], rows);
        }
        write_adapter(folder, "adapters.safetensors", config, &t);
        OK(adapter_read(&r->memory, folder, linears, &layout, &numbers, err));
        size_t rank = ranks[c][0] + ranks[c][1], tensor = 0;
        const struct adapter_module *module = &layout.modules[0];
        assert_true(layout.count == 1 && module->linear == gate && module->rank == rank);
        for (size_t p = 0, first = 0; p < 2; first += ranks[c][p++]) {
            if (!ranks[c][p]) continue;
            const float *a = (const float *)(const void *)t.list[tensor].data,
                        *b = (const float *)(const void *)t.list[tensor + 1].data;
            for (size_t i = 0; i < ranks[c][p]; i++) {
                for (size_t k = 0; k < in; k++)
                    assert_true(numbers[module->a + (first + i) * in + k] == a[k * ranks[c][p] + i]);
                for (size_t n = 0; n < 2 * rows; n++)
                    assert_true(numbers[module->b + n * rank + first + i] ==
                                (n / rows == p ? b[i * rows + n % rows] : 0));
            }
            tensor += 2;
        }
        mem_free(&r->memory, layout.modules), mem_free(&r->memory, numbers);
        folder_remove(folder);
    }
    lorac_model_release(m);
    runtime_end(r);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, open_fixture, close_fixture)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(both_formats_and_bases_hold_the_same),
        TEST(one_adapter_on_both_forms),
        TEST(scales_follow_the_config),
        TEST(what_does_not_fit_is_named),
        TEST(settings_that_change_numbers_are_named),
        TEST(mlx_settings_are_named),
        TEST(missing_files_are_named),
        TEST(sets_refuse),
        cmocka_unit_test(names_are_those_of_each_program),
        cmocka_unit_test(parts_of_a_fused_module_become_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
