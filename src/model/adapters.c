/* adapters.c — opening an adapter against a model's linears. */
#include "adapter/adapter.h"
#include "model/model.h"

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
    return (struct linear_list){m->linears, m->linear_count, family_modules(m->family, m->sees)};
}

lorac_status lorac_adapter_open(lorac_model *model, const char *path, lorac_adapter **adapter, lorac_error *err)
{
    struct memory *m = &model->runtime->memory;
    struct adapter_layout layout;
    float *floats;
    TRY(adapter_read(m, path, model_linears(model), &layout, &floats, err));
    lorac_status status =
        adapter_create(model->runtime, model, model->linear_count, &layout, floats, path, adapter, err);
    mem_free(m, floats);
    return status;
}
