/* file.h — an adapter as its files have it: low-rank pairs in the type and order in which they are stored, what stands
 * beside them (DoRA's magnitudes, biases, whole tensors), and what the config says.
 *
 * Three formats are read into this and written from it: PEFT's folders (file_peft.c), mlx-lm's (file_mlx.c) and GGUF
 * files (file_gguf.c). Nothing is computed with: what a format cannot hold is refused by name when it is written. */
#ifndef ADAPTER_FILE_H
#define ADAPTER_FILE_H

#include "adapter/adapter.h"
#include "file/gguf.h"

enum adapter_format { ADAPTER_PEFT, ADAPTER_MLX, ADAPTER_GGUF, ADAPTER_FORMATS };

/* A view of stored numbers: F32, F16 or BF16. */
struct matrix {
    const uint8_t *data; /* NULL: not there */
    enum st_dtype dtype;
    size_t rows, cols;
    bool transposed; /* stored as (cols, rows) */
};

struct file_module {
    char name[MODULE_NAME];
    bool embedding;                /* A's columns are tokens */
    struct matrix a, b;            /* (rank, in), (out, rank) */
    struct matrix magnitude, bias; /* (out, 1): DoRA's m; what is added to y */
    double scale;                  /* of B·A */
};

struct adapter_file {
    struct memory *memory;
    enum adapter_format format;
    char *path, *config_path; /* of the weights, and of the config, which a GGUF has not */
    struct safetensors tensors;
    struct gguf gguf;
    json_t *config;
    struct list modules;     /* struct file_module; by layer, then by name */
    struct st_tensor *whole; /* tensors that are no pairs, as PEFT has them beside; their names without its prefix */
    size_t whole_count;
    struct list blocks; /* float *: numbers that no file holds in this form */
    bool renamed;       /* file_fit changed names, so that those in the config do not hold */
};
static inline struct file_module *file_modules(const struct adapter_file *f)
{
    return f->modules.items;
}

/* path: a folder, a .safetensors file beside its adapter_config.json, or a GGUF file. */
lorac_status file_open(struct memory *m, const char *path, struct adapter_file *f, lorac_error *err);
/* One without modules. */
void file_begin(struct adapter_file *f, struct memory *m);
/* The modules of what f->tensors and f->config, or f->gguf, hold. */
lorac_status file_read(struct adapter_file *f, lorac_error *err);
void file_close(struct adapter_file *f);

/* Names, order of rows and fused modules become those of the base's Hugging Face form. A module that is not the base's,
 * or of another shape, is an error that names it. */
lorac_status file_fit(struct adapter_file *f, const struct linear_list *base, lorac_error *err);

/* The file that a layout and its floats, which must outlive it, would make. */
lorac_status file_of_layout(struct memory *m, const struct adapter_layout *layout, const float *floats,
                            struct adapter_file *f, lorac_error *err);
/* What lorac runs of it: a layout and its floats (mem_free both). */
lorac_status adapter_of_file(struct adapter_file *f, struct linear_list linears, struct adapter_layout *layout,
                             float **floats, lorac_error *err);

/* ---- what the formats share ----------------------------------------------------------------- */

float matrix_at(const struct matrix *m, size_t row, size_t col);
/* The module of that name, made where it is not there. */
lorac_status file_module(struct adapter_file *f, const char *name, size_t length, struct file_module **module,
                         lorac_error *err);
void file_sort(struct adapter_file *f); /* once its names are what they stay */
const struct file_module *file_find(const struct adapter_file *f, const char *name); /* NULL: not there */
/* A view of a tensor in *slot, which must be free. */
lorac_status file_take(const struct adapter_file *f, const struct st_tensor *t, bool transposed, struct matrix *slot,
                       lorac_error *err);
/* (rows, cols) zeros that live as long as the file; *view of them. */
lorac_status file_room(struct adapter_file *f, size_t rows, size_t cols, struct matrix *view, float **numbers,
                       lorac_error *err);
/* Layers that all have the same modules: the first layer's, and how many layers there are; false: it is not so. */
struct layer_grid {
    const struct file_module *first; /* (per_layer) */
    size_t per_layer, layers;
};
bool file_grid(const struct adapter_file *f, struct layer_grid *grid);
/* Where ".N." of a module's layer begins in its name, with the dot; NULL: it is in no layer. */
const char *name_layer(const char *name, size_t *layer);
const char *name_below_layer(const char *name); /* what stands behind the layer's number; else the whole */
bool name_embeds(const char *name);             /* the module is one that looks tokens up */
bool file_has_dora(const struct adapter_file *f);

/* ---- formats -------------------------------------------------------------------------------- */

lorac_status file_read_peft(struct adapter_file *f, lorac_error *err);
lorac_status file_read_mlx(struct adapter_file *f, lorac_error *err);
lorac_status file_read_gguf(struct adapter_file *f, lorac_error *err);
lorac_status file_scale_peft(struct adapter_file *f, lorac_error *err);
lorac_status file_scale_mlx(struct adapter_file *f, lorac_error *err);
lorac_status file_scale_gguf(struct adapter_file *f, lorac_error *err);

/* What a written adapter is for. */
struct file_target {
    const struct linear_list *base; /* what the file was fitted to; NULL: names stay as they are */
    size_t layers;                  /* of the base; 0: not known */
    const char *name;               /* of the base, for the config; NULL: what the source says */
    int dtype;                      /* enum st_dtype of the numbers; −1: each as it is */
    double dropout;
    bool rslora; /* PEFT's alpha is meant over √rank */
};
/* The first linear of the module; NULL: there is none of that name. */
const struct linear *linear_named(const struct linear *items, size_t count, const char *name);
struct module_names target_names(const struct file_target *t);
/* mlx-lm's modules of one of the base's, as names of the base, and how many rows each has. */
size_t target_parts(const struct file_target *t, const struct file_module *m, char parts[MODULE_PARTS][MODULE_NAME],
                    size_t rows[MODULE_PARTS]);

/* Weights into the folder, and into *config what they mean. */
lorac_status file_write_peft(const struct adapter_file *f, const struct file_target *t, const char *folder,
                             json_t *config, lorac_error *err);
lorac_status file_write_mlx(const struct adapter_file *f, const struct file_target *t, const char *folder,
                            json_t *config, lorac_error *err);
/* A GGUF file at `path`; the target needs a base. */
lorac_status file_write_gguf(const struct adapter_file *f, const struct file_target *t, const char *path,
                             lorac_error *err);

/* adapter_config.json. */
lorac_status file_write_config(struct memory *m, const char *folder, const json_t *config, lorac_error *err);
extern const char *const mlx_config_keys[]; /* the others are PEFT's; NULL at the end */
/* The first of the keys (NULL at the end) that asks for something; NULL: none does. */
const char *config_set(const json_t *config, const char *const *keys);
/* Refuses what is no low-rank pair, for a format that holds these alone. */
lorac_status file_check_pairs(const struct adapter_file *f, const char *format, lorac_error *err);

/* Tensors that are being gathered for a file. */
struct file_output {
    const struct adapter_file *file;
    const struct file_target *target;
    struct list tensors; /* struct st_tensor, which own their names and data */
};
void output_open(struct file_output *o, const struct adapter_file *f, const struct file_target *t);
void output_close(struct file_output *o);
/* Rows of a matrix times a factor that must lose no bit, filled up with zeros, perhaps transposed. */
struct output_form {
    size_t first, rows;          /* of the source */
    const struct linear *linear; /* or the rows of this one, and of those behind it, in their own order */
    size_t height, width;        /* 0: of the source */
    bool transposed, vector;
    double factor;
};
lorac_status output_add(struct file_output *o, const char *name, const struct matrix *m, struct output_form form,
                        lorac_error *err);
lorac_status output_copy(struct file_output *o, const char *prefix, const struct st_tensor *t, lorac_error *err);
/* FOLDER/NAME, a safetensors file. */
lorac_status output_write(const struct file_output *o, const char *folder, const char *name, const char *format,
                          lorac_error *err);

/* ---- comparing ------------------------------------------------------------------------------ */

/* Frobenius norms by Gram matrices of the ranks' size: of scale·B·A, and of the difference of two of one shape. */
lorac_status module_norm(struct memory *m, const struct file_module *a, double *norm, lorac_error *err);
lorac_status module_distance(struct memory *m, const struct file_module *a, const struct file_module *b,
                             double *distance, lorac_error *err);

/* SHA-256 of names, shapes, scales and numbers, by name: one content has one, whichever format holds it. */
lorac_status file_hash(const struct adapter_file *f, uint8_t digest[HASH_BYTES], lorac_error *err);

#endif
