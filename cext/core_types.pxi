# What of cext/track.h the seam names; the compiler takes layouts and values from the header itself.

cdef extern from "track.h" nogil:
    const double PRIOR_DEPARTURES
    enum:
        CLASSES
        SOURCES
        MAX_CONFLICTS
        MISS_BINS
        MOTION_FIGURES
        CACHE_LINE
        MAX_CAPACITY
        MAX_SCAN
        WRONG_UNIT
        CONFIRMED
        FROM_DETECTIONS
        FROM_TRACKS
        COOPERATIVE
        VELOCITY_REJECTED
        VELOCITY_TRUSTED
        NO_TURNS
        NO_NOISE
        NO_BIAS
        NO_LAG
        NO_LIFE
        NO_LATE
        NO_MERGE
        NO_CLASS
        NO_GLOBAL
        NO_CLOCK
        NO_RESUME
    const int64_t MAX_TIME

    ctypedef struct detection_t:
        double x, y
        float vx, vy, heading, length, width, height, var_x, var_y, cov_xy, confidence
        uint32_t id, vehicle
        uint8_t cls

    ctypedef struct track_row_t:
        int64_t t

    ctypedef struct track_t:
        uint32_t id

    ctypedef struct velocity_test_t:
        double pairs, ratio
        int32_t verdict

    ctypedef struct column_trust_t:
        double class_accuracy, size_scale, velocity_variance, id_persistence
        velocity_test_t velocity, zero_velocity

    ctypedef struct source_t:
        double x, y, heading, fov, range, sigma, sigma_v, p_detect, clutter
        int32_t kind, configured, blind, has_position, filtered, lag_observable
        uint64_t scans, late, refused, detections, repeated, doubled
        double period, jitter, correlation_sum, correlation_pairs
        column_trust_t columns
        double configured_bias_x, configured_bias_y, configured_lag
        double noise_scale, bias_x, bias_y, lag, detection_probability, clutter_density, residual, weight
        int64_t clock_offset
        uint64_t clock_steps, wrong_unit

    ctypedef struct motion_t:
        double straight

    ctypedef struct conflict_t:
        uint32_t vehicle, count
        int64_t t
        double x, y

    ctypedef struct fusion_t:
        int32_t capacity, count
        uint32_t features
        int64_t window, coast, max_jump
        double gate, miss_cost, confirm, show_threshold, drop, survive, followed_s, departures, inside_departures
        double miss_runs[MISS_BINS]
        double repeat_misses[MISS_BINS]
        motion_t motion[CLASSES]
        uint64_t refused_old, refused_ahead, clock_steps, crowded, refused_births, merged, resumed
        source_t sources[SOURCES]
        conflict_t conflicts[MAX_CONFLICTS]

    ctypedef struct column_layout_t:
        const char *name
        size_t offset, size
        char kind
    const column_layout_t DETECTION_FIELDS[]
    const column_layout_t TRACK_FIELDS[]

    int32_t fusion_check_strict(const detection_t *detections, int32_t count, const char **field)
    void source_start(source_t *source)
    size_t fusion_size(int32_t capacity)
    void fusion_init(fusion_t *fusion, int32_t capacity)
    size_t fusion_scratch(int32_t capacity, int32_t detections)
    int fusion_update_checked(fusion_t *fusion, int64_t t, int32_t source, const detection_t *detections, int32_t count, void *scratch)
    size_t fusion_state_size(int32_t count)
    void fusion_save(const fusion_t *fusion, uint8_t *out)
    const char *fusion_load(fusion_t *fusion, const uint8_t *data, size_t size)
    int32_t fusion_tracks(const fusion_t *fusion, int64_t t, track_row_t *out)


cdef extern from "messages.h" nogil:
    enum:
        MAX_OBJECTS
        BLOCK_BYTES

    ctypedef struct fault_t:
        int32_t row
        const char *field
        const char *rule
        const char *remedy
        double value

    ctypedef struct faults_t:
        fault_t first[8]
        int32_t refused, unmeasured

    int32_t objects_count(const uint8_t *data, size_t size, faults_t *faults)
    int32_t objects_decode(const uint8_t *data, size_t size, double dx, double dy, detection_t *out, faults_t *faults)


cdef extern from "header.h" nogil:
    ctypedef struct header_t:
        int64_t seq, t
        double lat, lon
        size_t identity, objects, behind

    ctypedef struct previous_t:
        int64_t seq, offset
        double lat, lon

    int header_read(const uint8_t *data, size_t size, header_t *out)
    int header_goes_on(const header_t *header, const previous_t *previous, int64_t t_rx, int64_t max_age, int64_t max_future, int64_t *event)
