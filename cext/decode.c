/* The objects of a perception message: a block of columns, or a list of maps. Every byte is untrusted. */
#include "rows.h"

#include <math.h>
#include <string.h>

typedef struct {
    const uint8_t *at, *end;
} reader;

typedef struct {
    int kind; /* 'n' nil, 'b' bool, 'i' integer, 'f' float, 's' text, 'x' bytes, 'a' array, 'm' map, '?' other */
    double number;
    const uint8_t *data;
    uint32_t size;
} value;

static uint64_t big_endian(const uint8_t *p, int n)
{
    uint64_t v = 0;
    for (int i = 0; i < n; i++)
        v = v << 8 | p[i];
    return v;
}

static int number(value *v, const uint8_t *p, uint8_t tag)
{
    uint64_t raw = big_endian(p, tag == 0xcb ? 8 : 1 << (tag & 3));
    if (tag == 0xcb) {
        memcpy(&v->number, &raw, 8);
        v->kind = 'f';
    } else {
        int bits = 8 << (tag & 3);
        v->number = tag >= 0xd0 ? (double)((int64_t)(raw << (64 - bits)) >> (64 - bits)) : (double)raw;
        v->kind = 'i';
    }
    return 1;
}

/* Take n bytes; NULL where the message ends before. */
static const uint8_t *take(reader *r, size_t n)
{
    if ((size_t)(r->end - r->at) < n)
        return NULL;
    const uint8_t *p = r->at;
    r->at += n;
    return p;
}

static int sized(reader *r, value *v, int kind, int width)
{
    const uint8_t *p = take(r, (size_t)width);
    if (p == NULL)
        return 0;
    v->kind = kind;
    v->size = (uint32_t)big_endian(p, width);
    if (kind == 's' || kind == 'x' || kind == '?') {
        v->data = take(r, v->size + (kind == '?' ? 1u : 0u));
        return v->data != NULL;
    }
    return 1;
}

/* Read one value; containers give their size and leave their members to the caller. 0 when the bytes are not one. */
static int read_value(reader *r, value *v)
{
    const uint8_t *p = take(r, 1);
    if (p == NULL)
        return 0;
    uint8_t tag = *p;
    v->number = 0;
    v->data = NULL;
    v->size = 0;
    if (tag <= 0x7f || tag >= 0xe0) {
        v->kind = 'i';
        v->number = (int8_t)tag;
        return 1;
    }
    if (tag <= 0x9f) {
        v->kind = tag <= 0x8f ? 'm' : 'a';
        v->size = tag & 15;
        return 1;
    }
    if (tag <= 0xbf) {
        v->kind = 's';
        v->size = tag & 31;
        return (v->data = take(r, v->size)) != NULL;
    }
    if (tag == 0xca) { /* a 32-bit float, as most fields are */
        if ((p = take(r, 4)) == NULL)
            return 0;
        uint32_t bits = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
        float one;
        memcpy(&one, &bits, 4);
        v->kind = 'f';
        v->number = one;
        return 1;
    }
    if (tag > 0xca && tag <= 0xd3) {
        p = take(r, tag == 0xcb ? 8 : (size_t)1 << (tag & 3));
        return p != NULL && number(v, p, tag);
    }
    switch (tag) {
    case 0xc0:
        v->kind = 'n';
        return 1;
    case 0xc2:
    case 0xc3:
        v->kind = 'b';
        v->number = tag & 1;
        return 1;
    case 0xc4:
        return sized(r, v, 'x', 1);
    case 0xc5:
        return sized(r, v, 'x', 2);
    case 0xc6:
        return sized(r, v, 'x', 4);
    case 0xc7:
        return sized(r, v, '?', 1);
    case 0xc8:
        return sized(r, v, '?', 2);
    case 0xd9:
        return sized(r, v, 's', 1);
    case 0xda:
        return sized(r, v, 's', 2);
    case 0xdb:
        return sized(r, v, 's', 4);
    case 0xdc:
        return sized(r, v, 'a', 2);
    case 0xdd:
        return sized(r, v, 'a', 4);
    case 0xde:
        return sized(r, v, 'm', 2);
    case 0xdf:
        return sized(r, v, 'm', 4);
    default:
        break;
    }
    if (tag >= 0xd4 && tag <= 0xd8) { /* fixext */
        v->kind = '?';
        return (v->data = take(r, ((size_t)1 << (tag - 0xd4)) + 1)) != NULL;
    }
    return 0;
}

/* Pass over the members of what was just read, however deeply they are nested: each takes a byte at least, so this
 * ends. */
static int skip(reader *r, const value *v)
{
    uint64_t left = v->kind == 'm' ? 2 * (uint64_t)v->size : v->kind == 'a' ? v->size : 0;
    while (left > 0) {
        value inner;
        if (left > (uint64_t)(r->end - r->at) || !read_value(r, &inner))
            return 0;
        left += inner.kind == 'm' ? 2 * (uint64_t)inner.size : inner.kind == 'a' ? inner.size : 0;
        left--;
    }
    return 1;
}

static const char *const CLASS_NAMES[CLASSES] = {"unknown",    "car",     "truck",      "bus",
                                                 "motorcycle", "bicycle", "pedestrian", "static"};

static int same(const value *v, const char *text)
{
    return v->size == strlen(text) && memcmp(v->data, text, v->size) == 0;
}

/* Names of the fields of a map: the FLOATS floats, then id and class. Senders write every object with its keys in one
   order, so the field that stood at this place of the object before is tried first. */
enum { ID = FLOATS, CLASS, FIELDS, PLACES = 24 };
typedef struct {
    const char *name;
    uint32_t size;
} field_t;
static const field_t FIELD[FIELDS] = {{"confidence", 10}, {"x", 1},       {"y", 1},      {"z", 1},     {"vx", 2},
                                      {"vy", 2},          {"heading", 7}, {"length", 6}, {"width", 5}, {"height", 6},
                                      {"var_x", 5},       {"var_y", 5},   {"cov_xy", 6}, {"id", 2},    {"class", 5}};

static int names(const value *key, int k)
{
    return key->size == FIELD[k].size && memcmp(key->data, FIELD[k].name, key->size) == 0;
}

static int field_of(const value *key, uint8_t *last)
{
    if (key->kind != 's')
        return -1;
    if (names(key, *last))
        return *last;
    for (int k = 0; k < FIELDS; k++)
        if (names(key, k))
            return *last = (uint8_t)k;
    return -1;
}

/* Put the FLOATS columns of one object into its row. */
static void fill(detection_t *d, const double c[FLOATS])
{
    d->confidence = (float)c[0];
    d->x = c[1];
    d->y = c[2];
    d->vx = (float)c[4];
    d->vy = (float)c[5];
    d->heading = (float)c[6];
    d->length = (float)c[7];
    d->width = (float)c[8];
    d->height = (float)c[9];
    d->var_x = c[10] == 0.0 ? NAN : (float)c[10]; /* no measurement is so exact: it was not measured */
    d->var_y = c[11] == 0.0 ? NAN : (float)c[11];
    d->cov_xy = (float)c[12];
}

static int32_t decode_block(const value *v, double dx, double dy, detection_t *out, faults_t *f)
{
    int32_t n = (int32_t)(v->size / BLOCK_BYTES);
    const uint8_t *column = v->data;
    detection_t *d = out;
    for (int32_t i = 0; i < n; i++) {
        double c[FLOATS];
        float one;
        memset(d, 0, sizeof *d);
        memcpy(&d->id, column + 4 * (size_t)i, 4);
        for (int k = 0; k < FLOATS; k++) {
            memcpy(&one, column + 4 * ((size_t)n * (size_t)(k + 1) + (size_t)i), 4);
            c[k] = one;
        }
        fill(d, c);
        d->cls = column[56 * (size_t)n + (size_t)i];
        if (check(d, i, f) < 0)
            continue;
        d->x += dx;
        d->y += dy;
        d++;
    }
    return (int32_t)(d - out);
}

static int32_t class_of(const value *v)
{
    if (v->kind == 'i')
        return v->number >= 0 && v->number < CLASSES ? (int32_t)v->number : -1;
    for (int32_t c = 0; v->kind == 's' && c < CLASSES; c++)
        if (same(v, CLASS_NAMES[c]))
            return c;
    return -1;
}

static int32_t decode_field(int k, const value *v, double c[FLOATS], detection_t *out, int32_t row, faults_t *f)
{
    if (k == ID) {
        if (v->kind != 'i' || v->number < 0 || v->number > 4294967295.0)
            return fail(f, row, "id", v->number, "must be an integer of 32 bits",
                        "count objects up from 0, or leave id out");
        out->id = (uint32_t)v->number;
    } else if (k == CLASS) {
        int32_t cls = class_of(v);
        if (cls < 0)
            return fail(f, row, "class", v->kind == 'i' || v->kind == 'f' ? v->number : NAN,
                        "must be 0..7 or a class name", "unknown is a class; docs/wire.md has them");
        out->cls = (uint8_t)cls;
    } else if (k >= 0) {
        if (v->kind != 'i' && v->kind != 'f' && v->kind != 'n')
            return fail(f, row, FIELD[k].name, NAN, "must be a number", UNMEASURED);
        c[k] = v->kind == 'n' ? NAN : v->number;
    }
    return 0;
}

/* What a key and the tag of a 64-bit float begin with on the wire, by field: the first eight bytes, and which of them
 * count. */
typedef struct {
    uint64_t bytes[ID], mask[ID];
} heads;

static void heads_init(heads *h)
{
    for (int k = 0; k < ID; k++) {
        uint8_t bytes[8] = {0}, mask[8] = {0};
        uint32_t n = FIELD[k].size;
        for (uint32_t i = 0; i < 8 && i < n + 2; i++) {
            bytes[i] = (uint8_t)(i == 0 ? 0xa0 | n : i <= n ? (uint8_t)FIELD[k].name[i - 1] : 0xcb);
            mask[i] = 0xff;
        }
        memcpy(&h->bytes[k], bytes, 8);
        memcpy(&h->mask[k], mask, 8);
    }
}

/* Read field `k` and its 64-bit float at one go, where that is what comes next. */
static int quick(reader *r, const heads *h, int k, double c[FLOATS])
{
    uint32_t n = k < ID ? FIELD[k].size : 0;
    uint64_t word;
    if (k >= ID || (size_t)(r->end - r->at) < n + 10)
        return 0;
    memcpy(&word, r->at, 8);
    if ((word & h->mask[k]) != h->bytes[k] ||
        (n > 6 && (memcmp(r->at + 1, FIELD[k].name, n) != 0 || r->at[n + 1] != 0xcb)))
        return 0;
    word = big_endian(r->at + n + 2, 8);
    memcpy(&c[k], &word, 8);
    r->at += n + 10;
    return 1;
}

/* One object: 1 where it can be used, 0 where it is refused, -1 where what follows cannot be read either. */
static int decode_map(reader *r, int32_t row, const heads *h, uint8_t last[PLACES], detection_t *out, faults_t *f)
{
    static const char CUT_OFF[] = "is cut off, or not msgpack", WHOLE[] = "send the message whole";
    value map, key, v;
    double c[FLOATS];
    int good = 1;
    if (!read_value(r, &map))
        return fail(f, -1, "object", NAN, CUT_OFF, WHOLE);
    if (map.kind != 'm') {
        fail(f, row, "object", NAN, "must be a map", "send each object as a map of names and numbers");
        return skip(r, &map) ? 0 : fail(f, -1, "object", NAN, CUT_OFF, WHOLE);
    }
    for (int k = 0; k < FLOATS; k++)
        c[k] = NAN;
    c[0] = 1.0;
    memset(out, 0, sizeof *out);
    for (uint32_t i = 0; i < map.size; i++) {
        uint8_t *guess = &last[i < PLACES ? i : PLACES - 1];
        if (quick(r, h, *guess, c))
            continue;
        if (!read_value(r, &key) || !skip(r, &key) || !read_value(r, &v) || !skip(r, &v))
            return fail(f, -1, "object", NAN, CUT_OFF, WHOLE);
        if (good && decode_field(field_of(&key, guess), &v, c, out, row, f) < 0)
            good = 0;
    }
    if (!good)
        return 0;
    fill(out, c);
    return check(out, row, f) == 0;
}

int32_t objects_count(const uint8_t *data, size_t size, faults_t *f)
{
    reader r = {data, data + size};
    value v;
    f->refused = f->unmeasured = 0;
    if (!read_value(&r, &v))
        return fail(f, -1, "length", (double)size, "is cut off, or not msgpack", "send the message whole");
    if (v.kind == 'x') {
        if (v.size % BLOCK_BYTES)
            return fail(f, -1, "length", v.size, "a block must be a multiple of " TEXT(BLOCK_BYTES) " bytes",
                        "send every column whole; docs/wire.md has them");
        v.size /= BLOCK_BYTES;
    } else if (v.kind != 'a') {
        return fail(f, -1, "type", NAN, "must be a block (bin) or a list of maps", "docs/wire.md has both forms");
    }
    if (v.size > MAX_OBJECTS)
        return fail(f, -1, "count", v.size, "at most " TEXT(MAX_OBJECTS) " objects a message", "send the nearest ones");
    return (int32_t)v.size;
}

int32_t objects_decode(const uint8_t *data, size_t size, double dx, double dy, detection_t *out, faults_t *f)
{
    reader r = {data, data + size};
    value v;
    int32_t n = objects_count(data, size, f), good = 0;
    if (n < 0 || !read_value(&r, &v))
        return -1;
    if (v.kind == 'x')
        return decode_block(&v, dx, dy, out, f);
    uint8_t last[PLACES] = {0};
    heads h;
    heads_init(&h);
    for (int32_t i = 0; i < n; i++) {
        int used = decode_map(&r, i, &h, last, &out[good], f);
        if (used < 0)
            return -1;
        if (used == 0)
            continue;
        out[good].x += dx;
        out[good].y += dy;
        good++;
    }
    return good;
}
