/* file.c — opening an adapter's files, whichever format, and the modules that they hold. See file.h. */
#include "adapter/file.h"
#include "quant/format.h"

#include <stdlib.h>
#include <string.h>

enum { CONFIG_CAP = 1 << 24, MAX_MODULES = 1 << 18, MAX_RANK = 65536 };

/* ---- numbers -------------------------------------------------------------------------------- */

float matrix_at(const struct matrix *m, size_t row, size_t col)
{
    size_t i = m->transposed ? col * m->rows + row : row * m->cols + col;
    float wide;
    uint16_t narrow;
    if (m->dtype == ST_F32) return memcpy(&wide, m->data + 4 * i, 4), wide;
    memcpy(&narrow, m->data + 2 * i, 2);
    return m->dtype == ST_F16 ? half_to_float(narrow) : bf16_to_float(narrow);
}

static lorac_status fail_twice(const struct adapter_file *f, const char *name, lorac_error *err)
{
    return fail(err, LORAC_FORMAT, f->path, "\"%s\" is there twice: the file holds several adapters", name);
}

lorac_status file_take(const struct adapter_file *f, const struct st_tensor *t, bool transposed, struct matrix *slot,
                       lorac_error *err)
{
    if (slot->data) return fail_twice(f, t->name, err);
    if (t->dtype != ST_F32 && t->dtype != ST_F16 && t->dtype != ST_BF16)
        return fail(err, LORAC_UNSUPPORTED, f->path,
                    "tensor \"%s\" is of type %s; lorac reads F32, F16 and BF16 adapters", t->name,
                    st_dtype_name(t->dtype));
    if (t->dims < 1 || t->dims > 2)
        return fail(err, LORAC_UNSUPPORTED, f->path, "tensor \"%s\" has %zu dimensions; lorac reads matrices", t->name,
                    t->dims);
    size_t rows = t->shape[0], cols = t->dims > 1 ? t->shape[1] : 1;
    *slot = (struct matrix){t->data, t->dtype, transposed ? cols : rows, transposed ? rows : cols, transposed};
    return LORAC_OK;
}

lorac_status file_room(struct adapter_file *f, size_t rows, size_t cols, struct matrix *view, float **numbers,
                       lorac_error *err)
{
    size_t count;
    float **block = size_mul(rows, cols, &count) ? list_add(&f->blocks) : NULL;
    if (block) *block = mem_array(f->memory, count, sizeof **block);
    if (!block || !*block) return fail_memory(err, "an adapter's matrix", rows);
    *numbers = *block;
    *view = (struct matrix){(const uint8_t *)*block, ST_F32, rows, cols, false};
    return LORAC_OK;
}

/* ---- modules -------------------------------------------------------------------------------- */

/* Layer after layer, the rest of the name by byte; what is in no layer first. */
static int by_name(const void *a, const void *b)
{
    const struct file_module *x = a, *y = b;
    size_t i = 0, k = 0;
    bool in = name_layer(x->name, &i), also = name_layer(y->name, &k);
    if (in != also) return in - also;
    return i != k ? (i > k) - (i < k) : strcmp(x->name, y->name);
}

void file_sort(struct adapter_file *f)
{
    if (f->modules.count) qsort(f->modules.items, f->modules.count, sizeof(struct file_module), by_name);
}

const struct file_module *file_find(const struct adapter_file *f, const char *name)
{
    struct file_module key;
    if (strlen(name) >= sizeof key.name || !f->modules.count) return NULL;
    strcpy(key.name, name);
    return bsearch(&key, f->modules.items, f->modules.count, sizeof key, by_name);
}

lorac_status file_module(struct adapter_file *f, const char *name, size_t length, struct file_module **module,
                         lorac_error *err)
{
    struct file_module *last = f->modules.count ? &file_modules(f)[f->modules.count - 1] : NULL;
    if (!length || length >= MODULE_NAME || f->modules.count >= MAX_MODULES)
        return fail(err, LORAC_FORMAT, f->path, "a module's name is empty or too long: \"%.*s\"",
                    (int)(length < 80 ? length : 80), name);
    *module = last;
    if (last && !strncmp(last->name, name, length) && !last->name[length]) return LORAC_OK;
    *module = list_add(&f->modules);
    if (!*module) return fail_memory(err, "an adapter's modules", f->modules.count);
    memcpy((*module)->name, name, length);
    return LORAC_OK;
}

/* Each module once: what tensors of one name brought is put together. */
static lorac_status merge(struct adapter_file *f, lorac_error *err)
{
    struct file_module *list = f->modules.items;
    size_t count = 0;
    for (size_t i = 0; i < f->modules.count; i++) {
        struct file_module *to = &list[count ? count - 1 : 0], *from = &list[i];
        struct matrix *const slots[2][4] = {{&to->a, &to->b, &to->magnitude, &to->bias},
                                            {&from->a, &from->b, &from->magnitude, &from->bias}};
        if (!count || strcmp(to->name, from->name)) {
            list[count++] = *from;
            continue;
        }
        for (size_t s = 0; s < 4; s++) {
            if (slots[0][s]->data && slots[1][s]->data) return fail_twice(f, to->name, err);
            if (slots[1][s]->data) *slots[0][s] = *slots[1][s];
        }
        to->embedding |= from->embedding;
    }
    f->modules.count = count;
    return LORAC_OK;
}

static lorac_status check_vector(const struct adapter_file *f, const struct file_module *m, const struct matrix *v,
                                 const char *what, lorac_error *err)
{
    size_t expected = m->b.rows;
    if (!v->data || (v->rows == expected && v->cols == 1)) return LORAC_OK;
    return fail(err, LORAC_MISMATCH, f->path, "the %s of \"%s\" has %zu numbers, its lora_B %zu rows", what, m->name,
                v->rows * v->cols, expected);
}

static lorac_status check_module(const struct adapter_file *f, const struct file_module *m, lorac_error *err)
{
    if (!m->a.data || !m->b.data)
        return fail(err, LORAC_MISMATCH, f->path, "half a pair: \"%s\" has no lora_%s", m->name, m->a.data ? "B" : "A");
    size_t rank = m->a.rows;
    if (!rank || rank > MAX_RANK || m->b.cols != rank || !m->a.cols || !m->b.rows)
        return fail(err, LORAC_MISMATCH, f->path, "\"%s\": lora_A is %zu x %zu and lora_B %zu x %zu, no pair", m->name,
                    rank, m->a.cols, m->b.rows, m->b.cols);
    TRY(check_vector(f, m, &m->magnitude, "magnitude", err));
    return check_vector(f, m, &m->bias, "bias", err);
}

/* ---- files ---------------------------------------------------------------------------------- */

static bool is_mlx(const struct safetensors *tensors)
{
    for (size_t i = 0; i < tensors->count; i++)
        if (ends_with(tensors->tensors[i].name, ".lora_a") || ends_with(tensors->tensors[i].name, ".lora_b"))
            return true;
    return false;
}

lorac_status file_read(struct adapter_file *f, lorac_error *err)
{
    static const struct {
        lorac_status (*read)(struct adapter_file *f, lorac_error *err);
        lorac_status (*scale)(struct adapter_file *f, lorac_error *err);
    } formats[ADAPTER_FORMATS] = {[ADAPTER_PEFT] = {file_read_peft, file_scale_peft},
                                  [ADAPTER_MLX] = {file_read_mlx, file_scale_mlx},
                                  [ADAPTER_GGUF] = {file_read_gguf, file_scale_gguf}};
    if (f->format != ADAPTER_GGUF && !f->tensors.count)
        return fail(err, LORAC_MISMATCH, f->path, "the file is empty: it adapts nothing");
    if (f->format != ADAPTER_GGUF && is_mlx(&f->tensors)) f->format = ADAPTER_MLX;
    TRY(formats[f->format].read(f, err));
    file_sort(f);
    TRY(merge(f, err));
    for (size_t i = 0; i < f->modules.count; i++) TRY(check_module(f, &file_modules(f)[i], err));
    return formats[f->format].scale(f, err);
}

/* *path: the file of that name in the folder, or NULL where there is none. */
static lorac_status find_file(struct memory *m, const char *folder, const char *name, char **path, lorac_error *err)
{
    *path = os_join(m, folder, name);
    if (!*path) return fail_memory(err, "a path", strlen(folder));
    if (os_is_file(*path)) return LORAC_OK;
    mem_free(m, *path);
    *path = NULL;
    return LORAC_OK;
}

/* Formats that run code when they are read, or that only one program reads; and what turns them into safetensors. */
static const struct {
    const char *name, *command;
} foreign[] = {
    {"adapter_model.bin", "python -c \"import torch; from safetensors.torch import save_file; "
                          "t = torch.load('adapter_model.bin', map_location='cpu', weights_only=True); "
                          "save_file({k: v.contiguous() for k, v in t.items()}, 'adapter_model.safetensors')\""},
    {"adapters.npz",
     "python -c \"import mlx.core as mx; mx.save_safetensors('adapters.safetensors', mx.load('adapters.npz'))\""},
};

static lorac_status refuse_foreign(struct memory *m, const char *folder, lorac_error *err)
{
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++) {
        char *path;
        TRY(find_file(m, folder, foreign[i].name, &path, err));
        if (!path) continue;
        lorac_status status = fail(err, LORAC_UNSUPPORTED, path,
                                   "lorac reads safetensors; in its folder, this converts it: %s", foreign[i].command);
        mem_free(m, path);
        return status;
    }
    return fail(err, LORAC_NOT_FOUND, folder,
                "the folder holds neither adapter_model.safetensors (PEFT) nor adapters.safetensors (mlx-lm)");
}

static char *folder_of(struct memory *m, const char *file)
{
    const char *slash = strrchr(file, '/');
    if (slash == file) return mem_text(m, "/", 1);
    return slash ? mem_text(m, file, (size_t)(slash - file)) : mem_text(m, ".", 1);
}

/* The weights' file: the path itself, or what the folder holds. */
static lorac_status find_weights(struct adapter_file *f, const char *path, lorac_error *err)
{
    struct memory *m = f->memory;
    if (os_is_folder(path)) {
        TRY(find_file(m, path, "adapter_model.safetensors", &f->path, err));
        if (!f->path) TRY(find_file(m, path, "adapters.safetensors", &f->path, err));
        return f->path ? LORAC_OK : refuse_foreign(m, path, err);
    }
    if (!os_is_file(path)) return fail(err, LORAC_NOT_FOUND, path, "there is no such adapter folder or file");
    if (ends_with(path, ".bin") || ends_with(path, ".npz")) {
        char *folder = folder_of(m, path);
        lorac_status status = folder ? refuse_foreign(m, folder, err) : fail_memory(err, "a path", strlen(path));
        mem_free(m, folder);
        return status;
    }
    f->path = mem_text(m, path, strlen(path));
    return f->path ? LORAC_OK : fail_memory(err, "a path", strlen(path));
}

static lorac_status open_folder(struct adapter_file *f, lorac_error *err)
{
    char *folder = folder_of(f->memory, f->path);
    f->config_path = folder ? os_join(f->memory, folder, "adapter_config.json") : NULL;
    mem_free(f->memory, folder);
    if (!f->config_path) return fail_memory(err, "a path", strlen(f->path));
    TRY(json_read_file(f->memory, f->config_path, CONFIG_CAP, &f->config, err));
    return safetensors_open(f->memory, f->path, true, &f->tensors, err);
}

void file_begin(struct adapter_file *f, struct memory *m)
{
    *f = (struct adapter_file){.memory = m,
                               .modules = {.memory = m, .size = sizeof(struct file_module)},
                               .blocks = {.memory = m, .size = sizeof(float *)}};
}

lorac_status file_open(struct memory *m, const char *path, struct adapter_file *f, lorac_error *err)
{
    file_begin(f, m);
    lorac_status status = find_weights(f, path, err);
    if (status == LORAC_OK && gguf_is(f->path)) f->format = ADAPTER_GGUF;
    if (status == LORAC_OK)
        status = f->format == ADAPTER_GGUF ? gguf_open(m, f->path, true, &f->gguf, err) : open_folder(f, err);
    if (status == LORAC_OK) status = file_read(f, err);
    if (status != LORAC_OK) file_close(f);
    return status;
}

void file_close(struct adapter_file *f)
{
    float **blocks = f->blocks.items;
    for (size_t i = 0; i < f->blocks.count; i++) mem_free(f->memory, blocks[i]);
    list_free(&f->blocks);
    list_free(&f->modules);
    mem_free(f->memory, f->whole);
    mem_free(f->memory, f->path);
    mem_free(f->memory, f->config_path);
    json_decref(f->config);
    if (f->tensors.memory) safetensors_close(&f->tensors);
    if (f->gguf.memory) gguf_close(&f->gguf);
    *f = (struct adapter_file){.memory = f->memory};
}
