/* libFuzzer: any bytes are scans of any source at any time. By hand, ten minutes:
 *   clang -std=c11 -O1 -g -ffp-contract=off -fsanitize=fuzzer,address,undefined -Icext tests/c/fuzz_fusion.c
 * cext/[a-z]*.c -lm -o fuzz
 *   ./fuzz -max_total_time=600 -max_len=8192 */
#include "../../cext/track.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define CAPACITY 64
#define MOST 24

static void read_row(const uint8_t *bytes, detection_t *z)
{
    float *fields[10] = {&z->vx,     &z->vy,    &z->heading, &z->length, &z->width,
                         &z->height, &z->var_x, &z->var_y,   &z->cov_xy, &z->confidence};
    memset(z, 0, sizeof *z);
    int16_t place[2];
    memcpy(place, bytes, sizeof place);
    z->x = place[0] * 0.01;
    z->y = place[1] * 0.01;
    for (int i = 0; i < 10; i++)
        *fields[i] = bytes[4 + i] == 255 ? NAN : bytes[4 + i] == 254 ? INFINITY : (float)(int8_t)bytes[4 + i] * 0.1f;
    if (bytes[14] == 251)
        memcpy(&z->x, bytes, 8); /* any bits */
    z->cls = bytes[15];
    z->id = bytes[14];
    z->vehicle = bytes[14] % 5;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static fusion_t *fusion;
    static void *scratch;
    static track_row_t out[CAPACITY];
    if (fusion == NULL) {
        fusion = malloc(fusion_size(CAPACITY));
        scratch = malloc(fusion_scratch(CAPACITY, MOST));
    }
    fusion_init(fusion, CAPACITY);
    fusion->sources[1].kind = FROM_TRACKS;
    fusion->sources[2].kind = COOPERATIVE;
    fusion->sources[3].fov = 1.0;
    int64_t t = 1000000000;
    while (size >= 4) {
        int32_t n = bytes[0] % MOST, source_id = bytes[1] % 5;
        int64_t step = ((int64_t)(int8_t)bytes[2] * 256 + bytes[3]) * 100000;
        detection_t z[MOST];
        bytes += 4;
        size -= 4;
        if ((size_t)n * 16 > size)
            n = (int32_t)(size / 16);
        for (int32_t j = 0; j < n; j++, bytes += 16, size -= 16)
            read_row(bytes, &z[j]);
        t += step;
        fusion_update(fusion, t, source_id, z, n, scratch);
        int32_t got = fusion_tracks(fusion, t, out);
        for (int32_t i = 0; i < got; i++)
            if (!isfinite(out[i].x) || !isfinite(out[i].y) || !isfinite(out[i].vx) || !(out[i].var_x > 0.0f))
                abort();
        if (fusion->count > fusion->capacity)
            abort();
    }
    return 0;
}
