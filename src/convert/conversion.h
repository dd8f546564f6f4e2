/* conversion.h — one conversion: the source, what each of its tensors becomes, and where it goes.
 *
 * For a folder plan.c lists the items and shards.c makes the files of weights; for a GGUF file gguf_plan.c and
 * gguf_file.c do. layouts.c says of which tensors an item of a folder consists; write.c computes and writes items, a
 * piece at a time; folder.c adds what is no weight. */
#ifndef CONVERT_CONVERSION_H
#define CONVERT_CONVERSION_H

#include "adapter/adapter.h"
#include "base/json.h"
#include "base/runtime.h"
#include "file/gguf_draft.h"
#include "file/imatrix.h"
#include "file/safetensors.h"
#include "model/config_gguf.h"
#include "model/model.h"
#include "quant/quantize.h"
#include "quant/quantize_mix.h"
#include "model/batch.h"
#include "text/dataset.h"

#include <lorac/convert.h>

enum { ITEM_NAME = 256, ITEM_TENSORS = 6 };

/* A tensor of the output, some of its rows, or a quantised module, from one tensor of the source. */
struct item {
    char name[ITEM_NAME]; /* of the tensor; of the module, without ".weight", where it is quantised */
    const struct st_tensor *source;
    const struct os_file *file;         /* of the source; NULL: it stands in memory */
    const struct stored_matrix *stored; /* of the opened base; NULL: none is, or it is no matrix */
    size_t first, rows, cols;           /* rows of the source from `first` on; what is no matrix has one row */
    size_t read;                        /* bytes of the source */
    const float *importance;            /* (cols), of a GGUF's; NULL: all alike */
    bool matrix;
    bool packed;     /* the source is quantised: `stored` has the numbers */
    bool inward;     /* the source is (in, out), as GPT-2's matrices are */
    bool transposed; /* ... and what is written is not */
    bool fused;      /* adapters change it */
    bool quantized;
    struct quantization q;
    enum st_dtype dtype;    /* of what is not quantised, and of the numbers before they are */
    enum quant_type type;   /* of what is not quantised in planes: blocks of one number or more */
    struct row_order order; /* GGUF: where the rows stand in the source, if not from `first` on */
    float add;              /* GGUF: to each number */
    size_t place;           /* GGUF: the number of its tensor at which it begins */
    size_t tensor;          /* GGUF: its tensor in the file */
    size_t tensors, bytes;  /* in the output */
    size_t layer, number;   /* of its linear; its place in the files */
};

struct conversion {
    struct lorac_runtime *runtime;
    struct memory *memory;
    const lorac_convert_options *options;
    const char *model, *out;
    bool same;             /* the folder is of the source's kind, whatever that is; else: */
    bool bnb;              /* it is transformers', otherwise mlx-lm's */
    struct quantization q; /* what modules get, unless the family says otherwise */
    bool double_quant;     /* of scales in bitsandbytes' form */
    json_t *config;        /* config.json's */
    const struct family *family;
    struct model_config shape;
    bool sees; /* the language model is a part of what is in the folder */
    struct st_folder own;
    struct lorac_model *base;       /* the source, where it is quantised or fused with adapters; or NULL */
    const struct st_folder *source; /* the base's, or our own */
    struct fusion *fusions;         /* of the adapters that are added to the base */
    size_t fusion_count;
    uint8_t *allocation;             /* bits of the base's matrices; NULL: the mode's */
    struct calibration *calibration; /* NULL: codes are rounded */
    size_t turns;                    /* how often its text runs */
    const struct os_file *file;      /* the one whose tensors are being listed */
    struct list items;               /* struct item, in the order of the source's files, or of the GGUF's tensors */
    const struct quantize_mix *kind; /* GGUF: of its matrices; NULL: a folder is made */
    struct imatrix imatrix;          /* GGUF: of its columns; empty: none was given */
    struct gguf_draft draft;
    struct lorac_model *listed; /* GGUF: the source as the loader lists it */
    struct weights *weights;
    struct rope_divisors divisors[ROPE_DIVISORS];
    struct st_tensor divisor_tensors[ROPE_DIVISORS];
    struct text undivided; /* names, a line each */
    size_t undivided_count;
    size_t source_bytes, done; /* of all items, and of those that are written */
};

/* ---- modes.c ------------------------------------------------------------------------------------- */

/* What mode, bits and group mean together; group and bits 0: the mode's own. */
lorac_status quantization_of(const char *mode, size_t bits, size_t group, struct quantization *q, lorac_error *err);
/* How the matrix is quantised, where a mode is so. */
bool quantization_from(const struct qmatrix *m, struct quantization *q);
size_t quantization_bits(const struct quantization *q);
const char *quantization_mode(const struct quantization *q);
/* {"group_size", "bits", "mode"} */
json_t *quantization_json(const struct quantization *q);

/* ---- names.c ------------------------------------------------------------------------------------- */

/* mlx-lm's name of a tensor; false: it has none there. */
bool mlx_name(const struct conversion *c, const char *name, char out[ITEM_NAME]);
/* The two halves of its rows that a tensor becomes in mlx-lm, by mlx-lm's name of the whole; false: it stays one. */
bool mlx_halves(const struct conversion *c, const char *name, char out[2][ITEM_NAME]);

/* ---- source.c ------------------------------------------------------------------------------------ */

lorac_status source_open(struct conversion *c, lorac_error *err);
void source_close(struct conversion *c);
/* The matrix of the opened base that the tensor is or, where it is quantised, belongs to; NULL: none. */
const struct stored_matrix *source_matrix(const struct conversion *c, const struct st_tensor *t);
bool source_is_packed(const struct stored_matrix *m); /* NULL: no */
/* The matrix where it lies. */
struct quant_matrix source_view(const struct conversion *c, const struct qmatrix *m);
bool is_number(enum st_dtype dtype);
/* "float16" and the like. */
bool dtype_named(const char *name, enum st_dtype *dtype);
bool config_dtype(const struct conversion *c, enum st_dtype *dtype); /* config.json's; false: it names none */
/* The type that a tensor of type `own` is to have, and the own one of a module that is quantised. */
enum st_dtype dtype_for(const struct conversion *c, enum st_dtype own);
enum st_dtype dtype_of_packed(const struct stored_matrix *m);

/* ---- fuse.c -------------------------------------------------------------------------------------- */

lorac_status fusion_open(struct conversion *c, lorac_error *err);
void fusion_close(struct conversion *c);
/* Whether an adapter changes the matrix; NULL: no. */
bool fusion_changes(const struct conversion *c, const struct stored_matrix *s);
/* Adds the adapters' change of the item's numbers from `first` on to y; d: room for n. The sum of its squares. */
double fusion_add(const struct conversion *c, const struct item *item, size_t first, size_t n, float *y, float *d);

/* ---- text_run.c ---------------------------------------------------------------------------------- */

/* The forward of the calibration text. */
struct text_run {
    struct conversion *c;
    struct batch batch;
    struct exec exec; /* its observer may be set */
    double share;     /* of the source's bytes that a run counts as, in the progress */
    void (*output)(void *context, const struct tensor *x); /* after each batch: the last norm's; NULL */
    void *context;
};
lorac_status text_run_open(struct conversion *c, struct text_run *t, lorac_error *err);
void text_run_close(struct text_run *t);
/* The first rows, each cut at a batch's size, until `most` tokens were read. */
lorac_status text_run(struct text_run *t, size_t most, lorac_error *err);

/* ---- calibrate.c --------------------------------------------------------------------------------- */

lorac_status calibration_open(struct conversion *c, lorac_error *err);
void calibration_close(struct conversion *c);
/* Whether the item's codes are chosen by what its inputs are like. */
bool calibration_knows(const struct conversion *c, const struct item *item);
/* *u (cols, cols): what quantize_gptq takes for the item, until the next call. Items are asked for layer by layer. */
lorac_status calibration_factor(struct conversion *c, const struct item *item, const float **u, lorac_error *err);
/* So many more bytes of the source's count as done; LORAC_CANCELLED: the user wants to stop. */
lorac_status conversion_report(struct conversion *c, size_t bytes, lorac_error *err);

/* ---- allocate.c ---------------------------------------------------------------------------------- */

/* Bits for each of the base's matrices, so that all together has options->target_bits a weight. */
lorac_status allocation_make(struct conversion *c, lorac_error *err);
/* Those of a matrix; 0: none are chosen. */
size_t allocated_bits(const struct conversion *c, const struct stored_matrix *s);

/* ---- choice.c ------------------------------------------------------------------------------------ */

/* Whether the options about modules make sense together, and for the modules that there are. */
lorac_status check_choice(const lorac_convert_options *o, lorac_error *err);
lorac_status check_modules(const struct conversion *c, lorac_error *err);
/* How a module is quantised; undivided: it would be, but no group divides its rows. */
enum choice { CHOICE_LEAVE, CHOICE_UNDIVIDED, CHOICE_QUANTIZE };
enum choice choose(const struct conversion *c, const struct item *item, struct quantization *q);
/* Whether config.json says of every module how it is quantised. */
bool choice_by_module(const struct conversion *c);

/* ---- gguf_plan.c, gguf_file.c -------------------------------------------------------------------- */

/* Lists tensors and items of the opened source. */
lorac_status gguf_plan(struct conversion *c, lorac_error *err);
void gguf_plan_close(struct conversion *c);
/* The rest of the draft, and the file under its name. */
lorac_status gguf_make(struct conversion *c, lorac_error *err);

/* ---- plan.c -------------------------------------------------------------------------------------- */

lorac_status conversion_open(struct conversion *c, lorac_error *err);
void conversion_close(struct conversion *c);

/* ---- layouts.c ----------------------------------------------------------------------------------- */

/* The tensors of an item, with names (from the memory), types and shapes; their number, 0 without memory. */
size_t item_tensors(const struct conversion *c, const struct item *item, struct st_tensor tensors[ITEM_TENSORS]);
size_t item_elements(const struct item *item);
size_t item_source_row(const struct item *item, size_t row); /* the row of the source that a row of the item is */
static inline bool item_is_bnb(const struct item *item)
{
    return item->quantized && item->q.type == QUANT_NF4;
}

/* ---- write.c, shards.c --------------------------------------------------------------------------- */

/* The bytes of an item's tensors; `tensor` is its first one in the file. */
lorac_status write_item(struct conversion *c, const struct item *item, struct tensor_writer *file, size_t tensor,
                        lorac_error *err);
enum quant_type block_type_of(enum st_dtype dtype);
/* The numbers of a run of an item that is not quantised in planes, in bytes. */
size_t plain_bytes(const struct item *item, size_t numbers);
/* All weights, as files of `folder`, and their index. */
lorac_status conversion_write(struct conversion *c, const char *folder, lorac_error *err);

/* ---- folder.c ------------------------------------------------------------------------------------ */

lorac_status write_json(const struct conversion *c, const char *folder, const char *name, const json_t *value,
                        bool sorted, lorac_error *err);
/* config.json, the tokenizer's files, and the card. */
lorac_status conversion_write_rest(struct conversion *c, const char *folder, lorac_error *err);

#endif
