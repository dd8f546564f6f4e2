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
