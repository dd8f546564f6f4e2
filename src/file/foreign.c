/* foreign.c — see foreign.h. */
#include "file/foreign.h"
#include "base/memory.h"
#include "base/os.h"

#include <stdio.h>
#include <string.h>

enum { HEAD = 64 };
static const struct {
    size_t at, length;
    const char *bytes, *kind;
} kinds[] = {
    {0, 4, "PK\003\004", "a ZIP archive, as PyTorch's .pt and .bin checkpoints are: lorac opens safetensors and GGUF"},
    {0, 2, "\200\002", "a Python pickle (an old PyTorch checkpoint): lorac opens safetensors and GGUF"},
    {4, 4, "TFL3", "a TensorFlow Lite model: lorac opens safetensors and GGUF"},
    {0, 4, "\211HDF", "an HDF5 file: lorac opens safetensors and GGUF"},
    {0, 23, "version https://git-lfs", "a Git LFS pointer, not the file itself: run \"git lfs pull\" in its folder"},
    {0, 9, "<!DOCTYPE", "an HTML page, as a failed download leaves: download the file again"},
    {0, 9, "<!doctype", "an HTML page, as a failed download leaves: download the file again"},
    {0, 5, "<html", "an HTML page, as a failed download leaves: download the file again"},
};

static const struct {
    const char *ending, *kind;
} endings[] = {
    {".onnx", "an ONNX model: lorac opens safetensors and GGUF"},
    {".mlmodel", "a Core ML model: lorac opens safetensors and GGUF"},
    {".mlpackage", "a Core ML model: lorac opens safetensors and GGUF"},
    {".mlmodelc", "a Core ML model: lorac opens safetensors and GGUF"},
};

const char *file_foreign(const char *path)
{
    char head[HEAD];
    FILE *f = path ? fopen(path, "rb") : NULL;
    if (!f) return NULL;
    bool folder = os_is_folder(path);
    size_t size = folder ? 0 : fread(head, 1, sizeof head, f);
    fclose(f);
    if (!size && !folder) return "an empty file";
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (size >= kinds[i].at + kinds[i].length && !memcmp(head + kinds[i].at, kinds[i].bytes, kinds[i].length))
            return kinds[i].kind;
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
        if (ends_with(path, endings[i].ending)) return endings[i].kind;
    return NULL;
}
