/* test_folders.c — Hugging Face and MLX folders whose modules are quantised: the values of every scheme
 * (tests/golden/modules, tools/golden_modules.py), and how many weights such a folder is said to hold. */
#include "engine.h"

#include "file/safetensors.h"
#include "model/model.h"
#include "quant/planes.h"

#include <dirent.h>

enum { SIDE = 32, MOST = 64, O_PROJ = 3, ROOM = 1 << 16 };
#define MODULE "model.layers.%zu.self_attn.o_proj"

static struct safetensors schemes, plain;
static json_t *configs; /* of the schemes */
static lorac_runtime *runtime;
static struct memory memory;

/* ---- folders -------------------------------------------------------------------------------- */

/* A copy of the tiny Llama's config with these keys more. */
static void write_config(const char *folder, const json_t *more)
{
    json_t *config = json_of(MODELS "plain/config.json");
    json_object_update(config, (json_t *)(uintptr_t)more);
    char *text = json_dumps(config, 0);
    file_write(folder, "config.json", text);
    free(text);
    json_decref(config);
}

static void write_config_text(const char *folder, const char *more)
{
    json_t *keys = json_loads(more, 0, NULL);
    write_config(folder, keys);
    json_decref(keys);
}

static void write_tensors(const char *folder, const struct st_tensor *tensors, size_t count)
{
    char path[300];
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    OK(safetensors_write(&memory, path, tensors, count, NULL, 0, err));
}

/* The scheme's tensors as o_proj of every layer, the others as they are. */
static void make_folder(char folder[256], const char *scheme, const json_t *config)
{
    static char names[2 * MOST][128];
    struct st_tensor tensors[2 * MOST];
    size_t count = 0, length = strlen(scheme);
    folder_make(folder);
    write_config(folder, config);
    for (size_t i = 0; i < plain.count; i++)
        if (!strstr(plain.tensors[i].name, "o_proj")) tensors[count++] = plain.tensors[i];
    for (size_t i = 0; i < schemes.count; i++) {
        const char *name = schemes.tensors[i].name, *ending = name + length + 1;
        if (strncmp(name, scheme, length) || name[length] != '|' || !strcmp(ending, "values")) continue;
        for (size_t layer = 0; layer < 2; layer++) {
            int n = snprintf(names[count], sizeof names[count], MODULE, layer);
            snprintf(names[count] + n, sizeof names[count] - (size_t)n, "%s", ending);
            tensors[count] = schemes.tensors[i];
            tensors[count].name = names[count];
            count++;
        }
    }
    write_tensors(folder, tensors, count);
}

static lorac_model *open_folder(const char *folder)
{
    return model_in(runtime, folder, "");
}

static size_t parameters_of(const char *folder)
{
    char *text;
    lorac_model *m = open_folder(folder);
    lorac_model_info info = {.struct_size = sizeof info};
    lorac_model_get_info(m, &info);
    lorac_model_release(m);
    OK(lorac_inspect(runtime, folder, &text, err));
    json_t *o = json_loads(text, 0, NULL);
    assert_int_equal(integer(o, "parameters"), info.parameters);
    json_decref(o);
    lorac_free(text);
    return info.parameters;
}

/* ---- values --------------------------------------------------------------------------------- */

static uint8_t *host(struct buf b, size_t bytes)
{
    struct stream s = {.backend = runtime->backend};
    uint8_t *to = calloc(1, bytes + 1);
    if (buf_is(b)) runtime->backend->kernels->readback(&s, to, b, bytes);
    return to;
}

/* The numbers that a matrix stands for, (rows, cols). */
static float *values_of(const struct qmatrix *w)
{
    struct qplanes none = {.group = 1}, p = w->planes ? *w->planes : none;
    size_t scales = w->rows * w->cols / p.group * scale_bytes(p.scale_type);
    float *y = malloc(w->rows * w->cols * sizeof *y);
    uint8_t *data = host(w->data, w->rows * w->row_bytes), *scale = host(p.scales, scales), *min = host(p.mins, scales),
            *group = host(p.groups, w->cols * 4);
    struct quant_matrix q = {
        .type = w->type, .data = data, .rows = w->rows, .cols = w->cols, .row_bytes = w->row_bytes};
    q.planes = (struct quant_planes){.scales = scale,
                                     .mins = buf_is(p.mins) ? min : NULL,
                                     .group = p.group,
                                     .scale_type = p.scale_type,
                                     .factor = p.factor,
                                     .groups = buf_is(p.groups) ? (int32_t *)(void *)group : NULL};
    for (size_t r = 0; r < w->rows; r++) quant_dequantize(y + r * w->cols, &q, r, 0, w->cols);
    free(data), free(scale), free(min), free(group);
    return y;
}

static void check_values(const struct qmatrix *w, const char *scheme)
{
    /* lorac multiplies by the inverse of the matrix's scale, which compressed-tensors divides by. */
    const float bound = strcmp(scheme, "compressed nvfp4") ? 0 : 2e-7F;
    char name[128];
    float *y = values_of(w);
    size_t differ = 0;
    snprintf(name, sizeof name, "%s|values", scheme);
    const struct st_tensor *values = safetensors_find(&schemes, name);
    assert_true(w->rows == SIDE && w->cols == SIDE);
    for (size_t i = 0; i < SIDE * SIDE; i++) {
        float wanted;
        memcpy(&wanted, values->data + 4 * i, 4);
        differ += !(fabsf(y[i] - wanted) <= bound * fabsf(wanted)); /* 0 may be −0 */
    }
    if (differ) fail_msg("%s: %zu of %d values differ", scheme, differ, SIDE * SIDE);
    free(y);
}

static void every_scheme_gives_its_values(void **state)
{
    const char *scheme;
    json_t *config;
    json_object_foreach(configs, scheme, config)
    {
        char folder[256];
        make_folder(folder, scheme, config);
        lorac_model *m = open_folder(folder);
        check_values(&m->linears[O_PROJ].weight, scheme);
        lorac_model_release(m);
        folder_remove(folder);
    }
    print_message("%zu schemes\n", json_object_size(configs));
    assert_true(json_object_size(configs) >= 28);
}

/* ---- counts --------------------------------------------------------------------------------- */

static void every_scheme_counts_its_weights(void **state)
{
    size_t all = parameters_of(MODELS "plain");
    const char *scheme;
    json_t *config;
    json_object_foreach(configs, scheme, config)
    {
        char folder[256];
        make_folder(folder, scheme, config);
        assert_int_equal(parameters_of(folder), all);
        folder_remove(folder);
    }
}

static void a_tied_head_is_counted_once(void **state)
{
    struct st_tensor tensors[MOST], head = *safetensors_find(&plain, "model.embed_tokens.weight");
    char folder[256], name[] = "lm_head.weight";
    head.name = name;
    folder_make(folder);
    write_config_text(folder, "{}");
    memcpy(tensors, plain.tensors, plain.count * sizeof *tensors);
    tensors[plain.count] = head;
    write_tensors(folder, tensors, plain.count + 1);
    assert_int_equal(parameters_of(folder), parameters_of(MODELS "plain"));
    folder_remove(folder);
}

/* compressed-tensors stores no "embed_tokens.weight" then; the rest of the model is found beside it. */
static void a_packed_embedding_is_found(void **state)
{
    static const uint8_t codes[288 * 16], scales[288 * 4];
    char folder[256], names[2][64] = {"model.embed_tokens.weight_packed", "model.embed_tokens.weight_scale"};
    struct st_tensor tensors[MOST] = {{names[0], ST_I32, 2, {288, 4}, codes, sizeof codes},
                                      {names[1], ST_F32, 2, {288, 1}, scales, sizeof scales}};
    size_t count = 2;
    folder_make(folder);
    write_config_text(folder, "{\"quantization_config\":{\"quant_method\":\"compressed-tensors\"}}");
    for (size_t i = 0; i < plain.count; i++)
        if (!strstr(plain.tensors[i].name, "embed_tokens")) tensors[count++] = plain.tensors[i];
    write_tensors(folder, tensors, count);
    assert_int_equal(parameters_of(folder), parameters_of(MODELS "plain"));
    folder_remove(folder);
}

/* ---- every family --------------------------------------------------------------------------- */

/* MLX's nvfp4, its codes and scales drawn, in place of a matrix. */
static size_t add_nvfp4(const struct st_tensor *w, struct st_tensor *to, uint8_t *room, char scales[128])
{
    size_t rows = w->shape[0], cols = w->shape[1], codes = rows * cols / 2;
    for (size_t i = 0; i < codes; i++) room[i] = (uint8_t)(127 * uniform(rows + cols, i));
    for (size_t i = 0; i < codes / 8; i++) room[codes + i] = (uint8_t)(32 + i % 32);
    snprintf(scales, 128, "%.*s.scales", (int)(strlen(w->name) - strlen(".weight")), w->name);
    to[0] = (struct st_tensor){w->name, ST_U32, 2, {rows, cols / 8}, room, codes};
    to[1] = (struct st_tensor){scales, ST_U8, 2, {rows, cols / 16}, room + codes, codes / 8};
    return 2;
}

/* The same values as f32. */
static size_t add_f32(const struct st_tensor *w, struct st_tensor *to, uint8_t *room, char scales[128])
{
    size_t rows = w->shape[0], cols = w->shape[1];
    add_nvfp4(w, to, room, scales);
    struct quant_matrix q = {.type = QUANT_NVFP4, .data = room, .rows = rows, .cols = cols, .row_bytes = cols / 2};
    q.planes = (struct quant_planes){.scales = to[1].data, .group = 16, .scale_type = SCALE_E4M3, .factor = 1};
    float *y = (float *)(void *)(room + rows * cols);
    for (size_t r = 0; r < rows; r++) quant_dequantize(y + r * cols, &q, r, 0, cols);
    to[0] = (struct st_tensor){w->name, ST_F32, 2, {rows, cols}, (uint8_t *)y, rows * cols * sizeof *y};
    return 1;
}

/* A folder of the family with every matrix of its language model through `add`. */
static void family_folder(char folder[256], const char *family,
                          size_t (*add)(const struct st_tensor *w, struct st_tensor *to, uint8_t *room, char name[128]))
{
    struct safetensors file;
    static char names[MOST][128];
    struct st_tensor tensors[2 * MOST];
    char path[300], *text;
    size_t count = 0;
    snprintf(path, sizeof path, FAMILIES "%s/model.safetensors", family);
    OK(safetensors_open(&memory, path, true, &file, err));
    snprintf(path, sizeof path, FAMILIES "%s/config.json", family);
    json_t *config = json_of(path);
    json_object_set_new(config, "quantization", json_pack("{s:s}", "mode", "nvfp4"));
    uint8_t *room = calloc(file.count, ROOM);
    folder_make(folder);
    file_write(folder, "config.json", text = json_dumps(config, 0));
    for (size_t i = 0; i < file.count; i++) {
        const struct st_tensor *t = &file.tensors[i];
        if (t->dims == 2 && t->shape[1] % 16 == 0 && !strstr(t->name, "vision") && !strstr(t->name, "projector")) {
            assert_true(t->shape[0] * t->shape[1] * 5 <= ROOM);
            count += add(t, tensors + count, room + i * ROOM, names[i]);
        } else
            tensors[count++] = *t;
    }
    write_tensors(folder, tensors, count);
    safetensors_close(&file);
    json_decref(config);
    free(text), free(room);
}

static void check_equal(const struct qmatrix *a, const struct qmatrix *b, const char *family, const char *name)
{
    float *x = values_of(a), *y = values_of(b);
    assert_true(a->rows == b->rows && a->cols == b->cols && !b->planes);
    if (memcmp(x, y, a->rows * a->cols * sizeof *x)) fail_msg("%s: the values of %s differ", family, name);
    free(x), free(y);
}

/* Embedding, head and linears, also those that are rows of a fused module, neighbours or not. */
static void check_family(const char *family)
{
    char codes[256], values[256];
    family_folder(codes, family, add_nvfp4);
    family_folder(values, family, add_f32);
    assert_int_equal(parameters_of(codes), parameters_of(values));
    lorac_model *a = open_folder(codes), *b = open_folder(values);
    assert_true(a->embedding.planes && a->linears[0].weight.planes);
    check_equal(&a->embedding, &b->embedding, family, "the embedding");
    check_equal(&a->head.weight, &b->head.weight, family, "the head");
    for (size_t i = 0; i < a->linear_count; i++)
        check_equal(&a->linears[i].weight, &b->linears[i].weight, family, a->linears[i].name);
    lorac_model_release(a), lorac_model_release(b);
    folder_remove(codes), folder_remove(values);
}

static void every_family_reads_quantised_modules(void **state)
{
    DIR *folder = opendir(FAMILIES);
    size_t count = 0;
    assert_non_null(folder);
    for (struct dirent *e; (e = readdir(folder));) {
        if (strchr(e->d_name, '.') || !strcmp(e->d_name, "gpt2")) continue; /* GPT-2's matrices are (in, out) here */
        check_family(e->d_name);
        count++;
    }
    closedir(folder);
    print_message("%zu families\n", count);
    assert_true(count >= 27);
}

/* ---- what is refused ------------------------------------------------------------------------ */

/* Experts of gpt-oss have a dimension more. */
static void fused_experts_are_refused_by_name(void **state)
{
    char folder[256], name[] = "model.layers.0.mlp.down_proj_blocks";
    static const uint8_t zeros[4 * 32 * 16];
    struct st_tensor tensors[MOST], experts = {name, ST_U8, 4, {2, 32, 2, 16}, zeros, 2048};
    lorac_model *m;
    size_t count = 0;
    folder_make(folder);
    write_config_text(folder, "{\"quantization_config\":{\"quant_method\":\"mxfp4\"}}");
    for (size_t i = 0; i < plain.count; i++)
        if (strcmp(plain.tensors[i].name, "model.layers.0.mlp.down_proj.weight")) tensors[count++] = plain.tensors[i];
    tensors[count++] = experts;
    write_tensors(folder, tensors, count);
    FAILS(lorac_model_open(runtime, folder, &m, err), LORAC_UNSUPPORTED, name);
    folder_remove(folder);
}

static int begin(void **state)
{
    runtime = runtime_of(NULL, 1);
    configs = json_of(TEST_DATA "/modules/configs.json");
    return safetensors_open(&memory, TEST_DATA "/modules/modules.safetensors", true, &schemes, NULL) ||
           safetensors_open(&memory, MODELS "plain/model.safetensors", true, &plain, NULL);
}

static int end(void **state)
{
    safetensors_close(&schemes);
    safetensors_close(&plain);
    json_decref(configs);
    runtime_end(runtime);
    return memory.used != 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_scheme_gives_its_values),        cmocka_unit_test(every_scheme_counts_its_weights),
        cmocka_unit_test(a_tied_head_is_counted_once),          cmocka_unit_test(a_packed_embedding_is_found),
        cmocka_unit_test(every_family_reads_quantised_modules), cmocka_unit_test(fused_experts_are_refused_by_name)};
    return cmocka_run_group_tests(tests, begin, end);
}
