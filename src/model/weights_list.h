/* weights_list.h — the tensors of a model's files as one sorted list, whichever format: what weights.c asks. */
#ifndef MODEL_WEIGHTS_LIST_H
#define MODEL_WEIGHTS_LIST_H

#include "base/hash.h"
#include "model/weights.h"

enum { WEIGHT_NAME = 192 };

/* A tensor of either format. */
struct source {
    const char *name; /* not NUL-terminated */
    size_t name_length;
    int type;            /* quant_type, or -1 */
    enum st_dtype dtype; /* of a folder's */
    const char *type_name;
    size_t dims, rows, cols; /* a vector has rows 1; more dimensions are refused when asked for */
    const uint8_t *data;
    size_t bytes;
    struct buffer *buffer; /* of its file */
    size_t offset;
    bool used;
};

struct weights {
    struct lorac_model *model;
    struct memory *memory;
    const char *path;
    bool gguf;
    bool may_tie; /* the model that also sees ties the head, unless there is one: the language model's config may differ
                   */
    char prefix[WEIGHT_NAME]; /* what stands in the folder for the "model." of names; "model." itself where it does */
    struct source *sources;   /* sorted by name */
    size_t count;
    struct text names;
    struct hash hash;
    json_t *quantization; /* config.json's object that says how modules are quantised, or NULL */
    struct {
        char name[WEIGHT_NAME]; /* of its weight */
        struct qmatrix matrix;
    } last; /* quantised module, or expanded tensor: several linears may be rows of one */
};

/* By its name as weight names give it: the folder's prefix is put in place of "model."; NULL: there is none. */
struct source *weights_find(const struct weights *w, const char *name);
/* The tensor is used: it enters the fingerprint and the bytes, once. */
void weights_use(struct weights *w, struct source *s);
/* A buffer of the model's own, and one with a copy of these bytes. */
lorac_status weights_room(struct weights *w, size_t size, struct buf *b, lorac_error *err);
lorac_status weights_keep(struct weights *w, const void *bytes, size_t size, struct buf *b, lorac_error *err);

/* The tensor's name in the files' format: %zu replaced by the layer, and the suffix. */
void weights_spell(const struct weights *w, struct weight_name name, size_t layer, const char *suffix,
                   char text[WEIGHT_NAME]);

#endif
