/* protobuf.h — reading protocol buffers' wire format: one field after another, bounds checked. */
#ifndef BASE_PROTOBUF_H
#define BASE_PROTOBUF_H

#include "base/reader.h"

struct protobuf_field {
    uint32_t number;
    uint64_t value;       /* of a varint or a fixed number */
    const uint8_t *bytes; /* of a text or a message; NULL for the others */
    size_t length;
};

/* False at the end, and at damage, which sets r->failed. Groups are damage. */
bool protobuf_next(struct reader *r, struct protobuf_field *field);
float protobuf_float(const struct protobuf_field *field); /* of a fixed 32-bit number */

#endif
