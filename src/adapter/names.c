/* names.c — what adapter formats call the base's modules. */
#include "adapter/adapter.h"

#include <stdio.h>
#include <string.h>

void module_spell(const struct module_names *names, const char *start, const char *module, char text[MODULE_NAME])
{
    size_t own = strlen(names->own);
    bool inside = !strncmp(module, names->own, own);
    snprintf(text, MODULE_NAME, "%s%s", inside ? start : "", inside ? module + own : module);
}

size_t module_parts(const struct module_names *names, const char *module, char parts[MODULE_PARTS][MODULE_NAME])
{
    size_t count = 0;
    for (const struct module_split *s = names->splits; s && s->own; s++) {
        const char *place = strstr(module, s->own);
        if (!place) continue;
        for (; count < MODULE_PARTS && s->mlx[count]; count++)
            snprintf(parts[count], MODULE_NAME, "%.*s%s%s", (int)(place - module), module, s->mlx[count],
                     place + strlen(s->own));
        break;
    }
    return count;
}
