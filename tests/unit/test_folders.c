/* test_folders.c — Hugging Face and MLX folders whose modules are quantised: the values of every scheme
 * (tests/golden/modules, tools/golden_modules.py), and how many weights such a folder is said to hold. */
#include "engine.h"

#include "file/safetensors.h"
#include "model/model.h"
#include "quant/planes.h"

enum { SIDE = 32, MOST = 64, O_PROJ = 3 };
#define MODULE "model.layers.%zu.self_attn.o_proj"

static struct safetensors schemes, plain;
static lorac_runtime *runtime;
static struct memory memory;

/* ---- folders -------------------------------------------------------------------------------- */

/* A copy of the tiny Llama's config with these keys more. */
static void write_config(const char *folder, const char *more)
{
    json_t *config = json_of(MODELS "plain/config.json"), *keys = json_loads(more, 0, NULL);
    json_object_update(config, keys);
    char *text = json_dumps(config, 0);
    file_write(folder, "config.json", text);
    free(text);
    json_decref(config), json_decref(keys);
}

static void write_tensors(const char *folder, const struct st_tensor *tensors, size_t count)
{
    char path[300];
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    OK(safetensors_write(&memory, path, tensors, count, NULL, 0, err));
}

/* The scheme's tensors as o_proj of every layer, the others as they are. */
static void make_folder(char folder[256], const char *scheme, const char *config)
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

static void check_values(const struct qmatrix *w, const char *scheme)
{
    /* lorac multiplies by the inverse of the matrix's scale, which compressed-tensors divides by. */
    const float bound = strcmp(scheme, "compressed nvfp4") ? 0 : 2e-7F;
    char name[128];
    float y[SIDE * SIDE];
    size_t differ = 0, scales = SIDE * SIDE / w->planes->group * scale_bytes(w->planes->scale_type);
    snprintf(name, sizeof name, "%s|values", scheme);
    const struct st_tensor *values = safetensors_find(&schemes, name);
    uint8_t *data = host(w->data, SIDE * w->row_bytes), *scale = host(w->planes->scales, scales),
            *min = host(w->planes->mins, scales), *group = host(w->planes->groups, SIDE * 4);
    struct quant_matrix q = {.type = w->type, .data = data, .rows = SIDE, .cols = SIDE, .row_bytes = w->row_bytes};
    q.planes = (struct quant_planes){.scales = scale,
                                     .mins = buf_is(w->planes->mins) ? min : NULL,
                                     .group = w->planes->group,
                                     .scale_type = w->planes->scale_type,
                                     .factor = w->planes->factor,
                                     .groups = buf_is(w->planes->groups) ? (int32_t *)(void *)group : NULL};
    for (size_t r = 0; r < SIDE; r++) quant_dequantize(y + r * SIDE, &q, r, 0, SIDE);
    for (size_t i = 0; i < SIDE * SIDE; i++) {
        float wanted;
        memcpy(&wanted, values->data + 4 * i, 4);
        differ += !(fabsf(y[i] - wanted) <= bound * fabsf(wanted)); /* 0 may be −0 */
    }
    if (differ) fail_msg("%s: %zu of %d values differ", scheme, differ, SIDE * SIDE);
    free(data), free(scale), free(min), free(group);
}

static void every_scheme_gives_its_values(void **state)
{
    for (size_t i = 0; i < schemes.metadata_count; i++) {
        char folder[256], *scheme = schemes.metadata[2 * i];
        make_folder(folder, scheme, schemes.metadata[2 * i + 1]);
        lorac_model *m = open_folder(folder);
        check_values(&m->linears[O_PROJ].weight, scheme);
        lorac_model_release(m);
        folder_remove(folder);
    }
    print_message("%zu schemes\n", schemes.metadata_count);
    assert_true(schemes.metadata_count >= 28);
}

/* ---- counts --------------------------------------------------------------------------------- */

static void every_scheme_counts_its_weights(void **state)
{
    size_t all = parameters_of(MODELS "plain");
    for (size_t i = 0; i < schemes.metadata_count; i++) {
        char folder[256];
        make_folder(folder, schemes.metadata[2 * i], schemes.metadata[2 * i + 1]);
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
    write_config(folder, "{}");
    memcpy(tensors, plain.tensors, plain.count * sizeof *tensors);
    tensors[plain.count] = head;
    write_tensors(folder, tensors, plain.count + 1);
    assert_int_equal(parameters_of(folder), parameters_of(MODELS "plain"));
    folder_remove(folder);
}

/* Zeros in place of a matrix's numbers: MLX's nvfp4. */
static size_t add_mlx(const struct st_tensor *w, struct st_tensor *to, char scales[128])
{
    static const uint8_t zeros[1 << 16];
    size_t rows = w->shape[0], cols = w->shape[1];
    assert_true(rows * cols / 2 <= sizeof zeros);
    snprintf(scales, 128, "%.*s.scales", (int)(strlen(w->name) - strlen(".weight")), w->name);
    to[0] = (struct st_tensor){w->name, ST_U32, 2, {rows, cols / 8}, zeros, rows * cols / 2};
    to[1] = (struct st_tensor){scales, ST_U8, 2, {rows, cols / 16}, zeros, rows * cols / 16};
    return 2;
}

/* Phi-3's q, k and v are one quantised module, which three linears read. */
static void a_fused_module_is_counted_once(void **state)
{
    struct safetensors file;
    static char names[MOST][128];
    struct st_tensor tensors[2 * MOST];
    char folder[256], *text;
    size_t count = 0;
    OK(safetensors_open(&memory, FAMILIES "phi3/model.safetensors", true, &file, err));
    folder_make(folder);
    json_t *config = json_of(FAMILIES "phi3/config.json");
    json_object_set_new(config, "quantization", json_pack("{s:s}", "mode", "nvfp4"));
    file_write(folder, "config.json", text = json_dumps(config, 0));
    for (size_t i = 0; i < file.count; i++) {
        const struct st_tensor *t = &file.tensors[i];
        if (t->dims == 2)
            count += add_mlx(t, tensors + count, names[i]);
        else
            tensors[count++] = *t;
    }
    write_tensors(folder, tensors, count);
    assert_int_equal(parameters_of(folder), parameters_of(FAMILIES "phi3"));
    safetensors_close(&file);
    folder_remove(folder);
    json_decref(config);
    free(text);
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
    write_config(folder, "{\"quantization_config\":{\"quant_method\":\"mxfp4\"}}");
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
    return safetensors_open(&memory, TEST_DATA "/modules/modules.safetensors", true, &schemes, NULL) ||
           safetensors_open(&memory, MODELS "plain/model.safetensors", true, &plain, NULL);
}

static int end(void **state)
{
    safetensors_close(&schemes);
    safetensors_close(&plain);
    runtime_end(runtime);
    return memory.used != 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_scheme_gives_its_values), cmocka_unit_test(every_scheme_counts_its_weights),
        cmocka_unit_test(a_tied_head_is_counted_once), cmocka_unit_test(a_fused_module_is_counted_once),
        cmocka_unit_test(fused_experts_are_refused_by_name)};
    return cmocka_run_group_tests(tests, begin, end);
}
