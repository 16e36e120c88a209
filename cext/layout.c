/* The layout of what crosses to Python, told by the compiler itself: Python makes its dtypes from these tables. */
#include "track.h"

#define KIND(member) _Generic((member), float: 'f', double: 'f', int64_t: 'i', uint32_t: 'u', uint8_t: 'u')
#define FIELD(type, member) {#member, offsetof(type, member), sizeof(((type *)0)->member), KIND(((type *)0)->member)}
#define D(member) FIELD(detection_t, member)
#define T(member) FIELD(track_row_t, member)
#define END {NULL, 0, 0, 0}

const column_layout_t DETECTION_FIELDS[] = {D(x),     D(y),       D(vx),    D(vy),    D(heading), D(length),
                                            D(width), D(height),  D(var_x), D(var_y), D(cov_xy),  D(confidence),
                                            D(id),    D(vehicle), D(cls),   END};

const column_layout_t TRACK_FIELDS[] = {
    T(t),      T(x),       T(y),       T(vx),     T(vy),     T(heading), T(yaw_rate), T(length),    T(width),
    T(height), T(var_x),   T(var_y),   T(cov_xy), T(var_vx), T(var_vy),  T(cov_vxvy), T(existence), T(class_p),
    T(id),     T(vehicle), T(sources), T(last),   T(cls),    T(status),  END};
