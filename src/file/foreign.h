/* foreign.h — files, and folders that pass for files, of kinds that lorac does not open, told by their first bytes. */
#ifndef FILE_FOREIGN_H
#define FILE_FOREIGN_H

/* What the file is and what to do instead, "a ZIP archive, ...", or NULL where nobody knows; path may be NULL. */
const char *file_foreign(const char *path);

#endif
