/* adapters.c — opening an adapter against a model's linears. */
#include "adapter/adapter.h"
#include "model/model.h"

lorac_status lorac_adapter_open(lorac_model *model, const char *path, lorac_adapter **adapter, lorac_error *err)
{
    struct memory *m = &model->runtime->memory;
    struct adapter_layout layout;
    float *floats;
    TRY(adapter_read(m, path, (struct linear_list){model->linears, model->linear_count}, &layout, &floats, err));
    lorac_status status =
        adapter_create(model->runtime, model, model->linear_count, &layout, floats, path, adapter, err);
    mem_free(m, floats);
    return status;
}
