/* write.c — adapter folders that PEFT and mlx-lm load unchanged, from a layout and its floats. All in f32. */
#include "adapter/file.h"

#include <stdio.h>
#include <string.h>

/* The module's pair as a file has it: B's rows in Hugging Face order. */
static lorac_status add_module(struct adapter_file *f, const struct adapter_module *m, const float *floats,
                               lorac_error *err)
{
    struct file_module *to;
    size_t out = module_rows(m), r = m->rank;
    float *b;
    TRY(file_module(f, m->linear->name, strlen(m->linear->name), &to, err));
    TRY(file_room(f, out, r, &to->b, &b, err));
    to->a = (struct matrix){(const uint8_t *)(floats + m->a), ST_F32, r, m->linear->weight.cols, false};
    to->scale = m->scale;
    for (size_t n = 0; n < out; n++) memcpy(b + n * r, floats + m->b + module_row(m, n) * r, r * sizeof *b);
    return LORAC_OK;
}

static lorac_status write_folder(const struct adapter_file *f, const struct file_target *t, bool peft, bool mlx,
                                 const char *folder, lorac_error *err)
{
    json_t *config = json_object();
    lorac_status status = peft ? file_write_peft(f, t, folder, config, err) : LORAC_OK;
    if (status == LORAC_OK && mlx) status = file_write_mlx(f, t, folder, config, err);
    if (status == LORAC_OK) status = file_write_config(f->memory, folder, config, err);
    json_decref(config);
    return status;
}

lorac_status file_of_layout(struct memory *m, const struct adapter_layout *layout, const float *floats,
                            struct adapter_file *f, lorac_error *err)
{
    file_begin(f, m);
    lorac_status status = LORAC_OK;
    for (size_t i = 0; i < layout->count && status == LORAC_OK; i++)
        status = add_module(f, &layout->modules[i], floats, err);
    file_sort(f);
    if (status != LORAC_OK) file_close(f);
    return status;
}

lorac_status adapter_write(struct memory *m, const char *folder, const struct adapter_layout *layout,
                           const float *floats, const struct adapter_description *d, lorac_error *err)
{
    struct adapter_file f;
    struct file_target t = {.base = &d->linears,
                            .layers = d->layers,
                            .name = d->base,
                            .dtype = -1,
                            .dropout = d->dropout,
                            .rslora = d->rslora};
    TRY(os_make_folder(folder, err));
    TRY(file_of_layout(m, layout, floats, &f, err));
    lorac_status status = write_folder(&f, &t, d->peft, d->mlx, folder, err);
    file_close(&f);
    return status;
}
