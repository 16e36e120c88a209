/* libFuzzer: any bytes are the objects of a perception message, and a whole one. By hand, ten minutes:
 *   clang -std=c11 -O1 -g -ffp-contract=off -fsanitize=fuzzer,address,undefined -Icext tests/c/fuzz_decode.c
 * cext/[a-z]*.c -lm -o fuzz
 *   ./fuzz -max_total_time=600 -max_len=8192 */
#include "../../cext/header.h"
#include "../../cext/messages.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void must(int holds)
{
    if (!holds)
        abort();
}

static int within(float v, double low, double high) { return isnan(v) || (v >= low && v <= high); }

static void check_row(const detection_t *d)
{
    must(fabs(d->x) <= 2.0 * MAX_METRES && fabs(d->y) <= 2.0 * MAX_METRES && d->cls < CLASSES);
    must(within(d->vx, -100, 100) && within(d->vy, -100, 100) && within(d->heading, -6.3, 6.3) &&
         within(d->confidence, 0, 1));
    must(within(d->length, 9e-4, 61) && within(d->width, 9e-4, 61) && within(d->height, 9e-4, 61));
    must(within(d->var_x, 0, 1e4) && within(d->var_y, 0, 1e4) && within(d->cov_xy, -1e4, 1e4) && d->var_x != 0.0f &&
         d->var_y != 0.0f);
}

static void check_fault(const fault_t *fault)
{
    must(fault->field != NULL && strlen(fault->field) && strlen(fault->rule) && strlen(fault->remedy));
}

static void decode(const uint8_t *bytes, size_t size)
{
    faults_t faults;
    uint8_t *data = malloc(size + !size); /* of its exact size: one byte beyond is found */
    const char *field;
    memcpy(data, bytes, size);
    int32_t n = objects_count(data, size, &faults);
    must(n <= MAX_OBJECTS);
    if (n < 0) {
        check_fault(&faults.first[0]);
        free(data);
        return;
    }
    detection_t *rows = malloc(sizeof *rows * (size_t)n + !n);
    int32_t good = objects_decode(data, size, 100.0, -100.0, rows, &faults);
    must(good <= n);
    if (good < 0) {
        check_fault(&faults.first[0]);
    } else {
        must(good + faults.refused == n);
        for (int32_t k = 0; k < faults.refused && k < ROW_FAULTS; k++)
            check_fault(&faults.first[k]);
        for (int32_t k = 0; k < good; k++)
            check_row(&rows[k]);
        must(fusion_check_strict(rows, good, &field) == -1); /* what is decoded, the tracker takes */
    }
    free(rows);
    free(data);
}

static void read_header(const uint8_t *bytes, size_t size)
{
    header_t header;
    uint8_t *data = malloc(size + !size);
    memcpy(data, bytes, size);
    if (header_read(data, size, &header))
        must(header.identity < header.objects && header.objects < header.behind && header.behind <= size);
    free(data);
}

/* As they are, and as the columns of a block, which random bytes seldom begin as. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    decode(bytes, size);
    read_header(bytes, size);
    if (size < 0xffff) {
        uint8_t *block = malloc(size + 3);
        block[0] = 0xc5;
        block[1] = (uint8_t)(size >> 8);
        block[2] = (uint8_t)size;
        memcpy(block + 3, bytes, size);
        decode(block, size + 3);
        free(block);
    }
    return 0;
}
