/* beside.c — see beside.h. */
#include "convert/beside.h"

#include <string.h>
#include <unistd.h>

lorac_status make_beside(struct memory *m, const char *out,
                         lorac_status (*make)(void *user, const char *folder, lorac_error *err), void *user,
                         lorac_error *err)
{
    struct text name = {.memory = m};
    size_t length = strlen(out);
    while (length > 1 && out[length - 1] == '/') length--;
    text_printf(&name, "%.*s.%ld.tmp", (int)length, out, (long)getpid());
    lorac_status status = name.failed ? fail_memory(err, "a path", length) : os_make_folder(name.data, err);
    if (status == LORAC_OK) {
        status = make(user, name.data, err);
        if (status == LORAC_OK) status = os_replace_folder(m, name.data, out, err);
        if (status != LORAC_OK) os_remove_tree(m, name.data, NULL);
    }
    text_free(&name);
    return status;
}
