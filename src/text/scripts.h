/* scripts.h — cutting text where its script changes, as the reference's UnicodeScripts does. */
#ifndef TEXT_SCRIPTS_H
#define TEXT_SCRIPTS_H

#include <stddef.h>

/* The first place from `at` on whose character has a script other than *script, which becomes that one; `length`: there
 * is none. Spaces and unassigned characters have no script. text: valid UTF-8; *script 0: any script is another. */
size_t script_change(const char *text, size_t length, size_t at, unsigned *script);

#endif
