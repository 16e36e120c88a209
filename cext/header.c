/* The header of a perception message. Almost every frame of a sensor differs from the one before in its number, its time
 * and its objects alone, so the part that names version, unit and sensor is taken as bytes: whoever has checked these
 * bytes once knows them again. What is written in any other way is left to the general decoder. */
#include "header.h"

#include <string.h>

#define FEWEST_FIELDS 8 /* the last, `frame`, may be left out */
#define MAX_SHORT 31    /* bytes of a text whose length stands in its tag */
#define MAX_SUMMAND 3000000000000000000LL /* ns: the sum of three times fits in 64 bits */

typedef struct {
    const uint8_t *data;
    size_t at, end;
} cursor_t;

static int pass(cursor_t *c, const char *bytes, size_t n)
{
    if (c->end - c->at < n || memcmp(c->data + c->at, bytes, n) != 0)
        return 0;
    c->at += n;
    return 1;
}

static int pass_bytes(cursor_t *c, size_t n)
{
    if (c->end - c->at < n)
        return 0;
    c->at += n;
    return 1;
}

static uint64_t big_endian(const uint8_t *p, size_t n)
{
    uint64_t v = 0;
    for (size_t i = 0; i < n; i++)
        v = v << 8 | p[i];
    return v;
}

/* A text in the shortest form, so that a unit or sensor is written in one way only. */
static int pass_text(cursor_t *c)
{
    if (c->at == c->end)
        return 0;
    uint8_t tag = c->data[c->at++];
    if ((tag & 0xe0) == 0xa0)
        return pass_bytes(c, tag & MAX_SHORT);
    if (tag != 0xd9 || c->at == c->end || c->data[c->at] <= MAX_SHORT)
        return 0;
    size_t n = c->data[c->at++];
    return pass_bytes(c, n);
}

/* A whole number that is not negative. */
static int read_count(cursor_t *c, int64_t *out)
{
    if (c->at == c->end)
        return 0;
    uint8_t tag = c->data[c->at++];
    if (tag <= 0x7f) {
        *out = tag;
        return 1;
    }
    if (tag < 0xcc || tag > 0xcf)
        return 0;
    size_t n = (size_t)1 << (tag - 0xcc);
    if (!pass_bytes(c, n))
        return 0;
    uint64_t v = big_endian(c->data + c->at - n, n);
    *out = (int64_t)v;
    return v <= INT64_MAX;
}

static int read_double(cursor_t *c, double *out)
{
    if (!pass(c, "\xcb", 1) || !pass_bytes(c, 8))
        return 0;
    uint64_t bits = big_endian(c->data + c->at - 8, 8);
    memcpy(out, &bits, sizeof *out);
    return 1;
}

static int pass_block(cursor_t *c)
{
    if (c->at == c->end)
        return 0;
    uint8_t tag = c->data[c->at++];
    if (tag < 0xc4 || tag > 0xc6)
        return 0;
    size_t width = (size_t)1 << (tag - 0xc4);
    if (!pass_bytes(c, width))
        return 0;
    return pass_bytes(c, (size_t)big_endian(c->data + c->at - width, width));
}

#define PASS(c, text) pass(c, text, sizeof(text) - 1)

int header_read(const uint8_t *data, size_t size, header_t *out)
{
    cursor_t c = {data, 1, size};
    if (size < 1 || data[0] < (0x80 | FEWEST_FIELDS) || data[0] > (0x80 | (FEWEST_FIELDS + 1)))
        return 0;
    if (!PASS(&c, "\xa1v") || c.at == c.end || c.data[c.at++] > 0x7f)
        return 0;
    if (!PASS(&c, "\xa1r") || !pass_text(&c) || !PASS(&c, "\xa1s") || !pass_text(&c))
        return 0;
    out->identity = c.at;

    if (!PASS(&c, "\xa1q") || !read_count(&c, &out->seq) || !PASS(&c, "\xa1t") || !read_count(&c, &out->t))
        return 0;
    if (!PASS(&c, "\xa3lat") || !read_double(&c, &out->lat) || !PASS(&c, "\xa3lon") || !read_double(&c, &out->lon))
        return 0;

    if (!PASS(&c, "\xa1o"))
        return 0;
    out->objects = c.at;
    if (!pass_block(&c))
        return 0;
    out->behind = c.at;
    if (data[0] > (0x80 | FEWEST_FIELDS) && !PASS(&c, "\xa5"
                                                     "frame\xa3"
                                                     "ENU"))
        return 0;
    return c.at == c.end;
}

static int summable(int64_t t) { return t >= -MAX_SUMMAND && t <= MAX_SUMMAND; }

int header_goes_on(const header_t *header, const previous_t *from, int64_t t_rx, int64_t max_age, int64_t max_future,
                   int64_t *event)
{
    if (from->seq == INT64_MAX || header->seq != from->seq + 1 || header->lat != from->lat || header->lon != from->lon)
        return 0;
    if (!summable(header->t) || !summable(from->offset) || !summable(t_rx))
        return 0;
    *event = header->t - from->offset;
    int64_t age = t_rx - *event;
    return age >= -max_future && age <= max_age;
}
