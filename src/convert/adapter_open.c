/* adapter_open.c — see adapter_open.h. */
#include "convert/adapter_open.h"

#include <string.h>

lorac_status adapter_open(struct memory *m, const char *path, const struct outline *base, struct adapter_file *f,
                          lorac_error *err)
{
    TRY(file_open(m, path, f, err));
    lorac_status status = base ? file_fit(f, &base->linears, err) : LORAC_OK;
    if (status != LORAC_OK) file_close(f);
    return status;
}

static bool starts_with(const char *text, const char *start)
{
    return !strncmp(text, start, strlen(start));
}

bool name_needs_base(const char *name)
{
    if (starts_with(name, "model.language_model.") || starts_with(name, "language_model.")) return true;
    for (size_t i = 0; families[i]; i++) {
        const char *const *mlx = families[i]->mlx;
        if (mlx && (starts_with(name, mlx[0]) || (strcmp(mlx[1], "model.") && starts_with(name, mlx[1])))) return true;
        for (const struct module_split *s = families[i]->splits; s && s->own; s++)
            if (strstr(name, s->own)) return true;
    }
    return false;
}
