/* safetensors.h — safetensors files: the header checked, tensors as views of the mapped bytes; and the writer.
 *
 * Checked: header size (at most 100 MB) and JSON, dtypes, shapes against byte ranges, ranges inside the file, in
 * no overlap and without holes, names unique. A tensor's data need not be aligned in files of other programs. The
 * writer sorts by element size (large first, which aligns every tensor) and then by name, aligns the data to 8 bytes
 * (the header is padded with spaces) and writes whole or not at all: the same input gives the same bytes. */
#ifndef FILE_SAFETENSORS_H
#define FILE_SAFETENSORS_H

#include "file/tensor_writer.h"

enum st_dtype {
    ST_BOOL,
    ST_U8,
    ST_I8,
    ST_F8_E5M2,
    ST_F8_E4M3,
    ST_I16,
    ST_U16,
    ST_F16,
    ST_BF16,
    ST_I32,
    ST_U32,
    ST_F32,
    ST_F64,
    ST_I64,
    ST_U64
};
const char *st_dtype_name(enum st_dtype dtype);
size_t st_dtype_bytes(enum st_dtype dtype);

struct st_tensor {
    char *name;
    enum st_dtype dtype;
    size_t dims; /* 0 to 8 */
    size_t shape[8];
    const uint8_t *data;
    size_t bytes;
};
struct safetensors {
    struct os_file file;
    char *path;
    struct st_tensor *tensors; /* sorted by name */
    size_t count;
    char **metadata;       /* key, value, key, value ... of "__metadata__" */
    size_t metadata_count; /* pairs */
    struct memory *memory;
};
lorac_status safetensors_open(struct memory *m, const char *path, bool map, struct safetensors *s, lorac_error *err);
lorac_status safetensors_open_bytes(struct memory *m, const uint8_t *bytes, size_t size, struct safetensors *s,
                                    lorac_error *err);
void safetensors_close(struct safetensors *s);
const struct st_tensor *safetensors_find(const struct safetensors *s, const char *name);
const char *safetensors_metadata(const struct safetensors *s, const char *key); /* NULL when absent */

/* `tensors` need name, dtype, dims, shape, data, bytes; metadata as above (pairs, may be NULL). */
lorac_status safetensors_write(struct memory *m, const char *path, const struct st_tensor *tensors, size_t count,
                               const char *const *metadata, size_t metadata_pairs, lorac_error *err);

/* The tensors, whose data is not looked at, laid out as above; their bytes are put afterwards. */
lorac_status st_writer_open(struct memory *m, const char *path, const struct st_tensor *tensors, size_t count,
                            const char *const *metadata, size_t metadata_pairs, struct tensor_writer *w,
                            lorac_error *err);

/* A Hugging Face model folder: model.safetensors, or the shards that model.safetensors.index.json names (every shard
 * present, every tensor where the index says; file names inside the folder only). Other *.safetensors files are not
 * looked at: a folder with none of the two is refused. */
struct st_folder {
    struct safetensors *shards;
    size_t shard_count;
    struct memory *memory;
};
lorac_status st_folder_open(struct memory *m, const char *folder, bool map, struct st_folder *f, lorac_error *err);
void st_folder_close(struct st_folder *f);
const struct st_tensor *st_folder_find(const struct st_folder *f, const char *name);

#endif
