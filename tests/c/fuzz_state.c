/* libFuzzer: a saved tracker with any of its bytes changed is refused, or goes on without leaving its memory. By hand,
 * ten minutes: clang -std=c11 -O1 -g -ffp-contract=off -fsanitize=fuzzer,address,undefined -Icext tests/c/fuzz_state.c
 * cext/[a-z]*.c -lm -o fuzz
 *   ./fuzz -max_total_time=600 -max_len=512 */
#include "../../cext/track.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define CAPACITY 16
#define SCAN 12
#define BEGIN 1000000000LL

static void *scratch;

static int32_t scan(detection_t z[SCAN], int k)
{
    for (int j = 0; j < SCAN; j++)
        z[j] = (detection_t){.x = 8.0 * j + 0.5 * k,
                             .y = (j % 3) * 4.0,
                             .vx = j % 2 ? 5.0f : NAN,
                             .vy = j % 2 ? 0.0f : NAN,
                             .heading = NAN,
                             .length = j % 4 ? NAN : 4.5f,
                             .width = NAN,
                             .height = NAN,
                             .var_x = NAN,
                             .var_y = NAN,
                             .cov_xy = NAN,
                             .confidence = NAN,
                             .vehicle = j == 5 ? 7 : 0,
                             .cls = (uint8_t)(j % CLASSES)};
    return SCAN - k % 3;
}

static void go_on(fusion_t *fusion, int from, int scans)
{
    detection_t z[SCAN];
    for (int k = from; k < from + scans; k++) {
        int32_t n = scan(z, k);
        fusion_update(fusion, BEGIN + k * 100000000LL, k % 4 == 3 ? 2 : k % 2, z, n, scratch);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static uint8_t *saved, *changed;
    static size_t length;
    static track_row_t out[CAPACITY];
    fusion_t *fusion = malloc(fusion_size(CAPACITY));
    if (saved == NULL) {
        scratch = malloc(fusion_scratch(CAPACITY, SCAN));
        fusion_init(fusion, CAPACITY);
        fusion->sources[2].kind = COOPERATIVE;
        go_on(fusion, 0, 20);
        length = fusion_state_size(fusion->count);
        saved = malloc(length);
        changed = malloc(length);
        fusion_save(fusion, saved);
    }
    memcpy(changed, saved, length);
    for (; size >= 11; bytes += 11, size -= 11) { /* where, how many bytes, which */
        size_t where = ((size_t)bytes[0] << 8 | bytes[1]) % length, n = 1 + bytes[2] % 8u;
        for (size_t i = 0; i < n && where + i < length; i++)
            changed[where + i] = bytes[3 + i];
    }
    fusion_init(fusion, CAPACITY);
    if (fusion_load(fusion, changed, length - (size ? bytes[0] % 3u : 0)) == NULL) {
        go_on(fusion, 20, 6);
        int32_t n = fusion_tracks(fusion, fusion->newest, out);
        if (n < 0 || n > CAPACITY || fusion->count > fusion->capacity)
            abort();
    }
    free(fusion);
    return 0;
}
