/* outline.h — what a base's modules are called and how large they are, by its config alone: what an adapter needs to
 * know of the model when nothing is computed. */
#ifndef MODEL_OUTLINE_H
#define MODEL_OUTLINE_H

#include "adapter/adapter.h"
#include "model/model.h"

struct outline {
    struct memory *memory;
    const struct family *family;
    struct model_config config;
    /* Layer after layer, then the embedding (its columns are tokens) and the head. The rows' order is that of a GGUF.
     */
    struct linear_list linears;
    struct linear *items;
    char (*names)[MODULE_NAME];
    struct gguf_form gguf;
};

/* path: a model's folder, of which only config.json is read, or a GGUF. */
lorac_status outline_open(struct memory *m, const char *path, struct outline *o, lorac_error *err);
lorac_status outline_of_model(const struct lorac_model *model, struct outline *o, lorac_error *err);
void outline_close(struct outline *o);

#endif
