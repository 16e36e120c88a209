/* A tracker as bytes and back: its own part, then its live tracks in order. The bytes may come from anywhere, and are
 * checked whole (valid.c) before they are used: no state can make the tracker leave its memory. */
#include "track.h"
#include "valid.h"

#include <string.h>

size_t fusion_state_size(int32_t count) { return sizeof(fusion_t) + sizeof(track_t) * (size_t)count; }

void fusion_save(const fusion_t *fusion, uint8_t *out)
{
    memcpy(out, fusion, sizeof *fusion);
    for (int32_t i = 0; i < fusion->count; i++)
        memcpy(out + sizeof *fusion + sizeof(track_t) * (size_t)i, track_at(fusion, i), sizeof(track_t));
}

const char *fusion_load(fusion_t *fusion, const uint8_t *data, size_t size)
{
    int32_t capacity = fusion->capacity, count;
    if (size < sizeof *fusion)
        return "length";
    memcpy(fusion, data, sizeof *fusion);
    count = fusion->count;
    fusion->count = 0;
    if (fusion->capacity != capacity || count < 0 || count > capacity)
        return "capacity";
    if (size != fusion_state_size(count))
        return "length";
    const char *member = invalid_fusion(fusion);
    if (member != NULL)
        return member;

    uint32_t newest = 0;
    for (int32_t i = 0; i < count; i++) {
        track_t *track = &slots_of(fusion)[i].track;
        order_of(fusion)[i] = i;
        memcpy(track, data + sizeof *fusion + sizeof(track_t) * (size_t)i, sizeof *track);
        if (track->id <= newest || !valid_track(track))
            return "tracks";
        newest = track->id;
    }
    if (newest >= fusion->next_id)
        return "ids";
    fusion->count = count;
    return NULL;
}
