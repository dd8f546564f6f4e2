/* adapters.c — opening an adapter against a model's linears. */
#include "adapter/adapter.h"
#include "model/model.h"
#include "model/outline.h"

struct module_names family_modules(const struct family *f, bool sees)
{
    struct module_names names = {"model.", "model.", "model.", NULL};
    if (f->mlx) names = (struct module_names){f->mlx[0], f->mlx[0], f->mlx[1], NULL};
    if (sees) names = (struct module_names){"model.", "model.language_model.", "language_model.model.", NULL};
    names.splits = f->splits;
    return names;
}

struct linear_list model_linears(const struct lorac_model *m)
{
    return (struct linear_list){m->linears, m->linear_count, family_modules(m->family, m->sees), NULL};
}

lorac_status model_adapter_read(const struct lorac_model *model, const char *path, struct adapter_layout *layout,
                                float **floats, lorac_error *err)
{
    struct memory *m = &model->runtime->memory;
    struct linear_list linears = model_linears(model);
    struct outline outline;
    TRY(outline_of_model(model, &outline, err));
    linears.gguf = &outline.gguf;
    lorac_status status = adapter_read(m, path, linears, layout, floats, err);
    outline_close(&outline);
    return status;
}

lorac_status lorac_adapter_open(lorac_model *model, const char *path, lorac_adapter **adapter, lorac_error *err)
{
    struct memory *m = &model->runtime->memory;
    struct adapter_layout layout;
    float *floats;
    TRY(model_adapter_read(model, path, &layout, &floats, err));
    lorac_status status =
        adapter_create(model->runtime, model, model->linear_count, &layout, floats, path, adapter, err);
    mem_free(m, floats);
    return status;
}
