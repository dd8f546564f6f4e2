/* protobuf.c — see protobuf.h. */
#include "base/protobuf.h"

#include <string.h>

enum wire { VARINT, FIXED_64, BYTES, GROUP, GROUP_END, FIXED_32 };

static uint64_t read_varint(struct reader *r)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t byte = reader_u8(r);
        value |= (uint64_t)(byte & 0x7F) << shift;
        if (byte < 0x80) return value;
    }
    r->failed = true;
    return 0;
}

bool protobuf_next(struct reader *r, struct protobuf_field *field)
{
    if (r->failed || !reader_left(r)) return false;
    uint64_t key = read_varint(r);
    *field = (struct protobuf_field){.number = (uint32_t)(key >> 3)};
    switch ((enum wire)(key & 7)) {
    case VARINT:
        field->value = read_varint(r);
        break;
    case FIXED_64:
        field->value = reader_u64(r);
        break;
    case FIXED_32:
        field->value = reader_u32(r);
        break;
    case BYTES: {
        uint64_t length = read_varint(r);
        field->length = length <= reader_left(r) ? (size_t)length : 0;
        if (length > reader_left(r)) r->failed = true;
        field->bytes = reader_take(r, field->length);
        break;
    }
    default:
        r->failed = true;
    }
    if (!field->number || key >> 3 > UINT32_MAX) r->failed = true;
    return !r->failed;
}

float protobuf_float(const struct protobuf_field *field)
{
    uint32_t bits = (uint32_t)field->value;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}
